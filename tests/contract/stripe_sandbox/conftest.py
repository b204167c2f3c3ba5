"""One sandbox for all its tests, each of which ends with everything that was said being checked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import stripe

from tests.support import stripe_checks
from tests.support.stripe_sandbox import (
    PUBLISHABLE_KEY,
    SECRET,
    Receiver,
    RunningSandbox,
    receiving,
    running_sandbox,
    stripe_client,
)


@pytest.fixture(scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture(scope="session")
async def sandbox(receiver: Receiver) -> AsyncIterator[RunningSandbox]:
    flags = {"webhook_url": receiver.url, "webhook_secret": SECRET, "retry_first_s": 0.05, "debit_settles_s": 0.3,
             "aftermath_s": 0.2}  # fmt: skip
    async with running_sandbox(**flags) as running:
        yield running


@pytest.fixture(scope="session")
async def client(sandbox: RunningSandbox) -> AsyncIterator[stripe.StripeClient]:
    async with stripe_client(sandbox.url) as opened:
        yield opened


@pytest.fixture(scope="session")
async def impatient(sandbox: RunningSandbox) -> AsyncIterator[stripe.StripeClient]:
    """A client that tries once."""
    async with stripe_client(sandbox.url, retries=0) as opened:
        yield opened


@pytest.fixture(scope="session")
async def browser(sandbox: RunningSandbox) -> AsyncIterator[stripe.StripeClient]:
    """What a browser can do: it has the publishable key."""
    async with stripe_client(sandbox.url, key=PUBLISHABLE_KEY) as opened:
        yield opened


@dataclass
class Checked:
    exchange: int = 0
    event: str | None = None


@pytest.fixture(scope="session")
def checked() -> Checked:
    return Checked()


@pytest.fixture(autouse=True)
async def everything_said_is_stripes(sandbox: RunningSandbox, checked: Checked) -> AsyncIterator[None]:
    """After each test: requests, answers and events since the one before fit Stripe's description and samples."""
    yield
    await sandbox.put("webhooks", {})
    await sandbox.put("faults", {"faults": []})
    exchanges = (await sandbox.get(f"requests?after={checked.exchange}"))["data"]
    events = (await sandbox.get(f"events?after={checked.event}" if checked.event else "events"))["data"]
    checked.exchange = max([checked.exchange, *(exchange["number"] for exchange in exchanges)])
    checked.event = events[-1]["id"] if events else checked.event
    assert stripe_checks.problems(exchanges, events, refusals_expected=True) == []
