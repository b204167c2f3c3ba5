"""One Stripe sandbox for all tests of payments; each has a shop of its own, and ends by auditing what was said."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import stripe

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.service_client import ServiceClient
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from tests.integration.credits.serving import PAYMENTS_KEY, serving
from tests.integration.payments.shop import CATALOGUE, Bank, Shop
from tests.support import stripe_checks
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY, RunningSandbox, running_sandbox, stripe_client


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(debit_settles_s=3600) as running:
        yield running


@pytest.fixture(scope="session")
async def browser(sandbox: RunningSandbox) -> AsyncIterator[stripe.StripeClient]:
    """What a browser can do: it has the publishable key."""
    async with stripe_client(sandbox.url, key=PUBLISHABLE_KEY) as opened:
        yield opened


@pytest.fixture(scope="session")
async def dashboard(sandbox: RunningSandbox) -> AsyncIterator[stripe.StripeClient]:
    """What people do at Stripe's dashboard, past us."""
    async with stripe_client(sandbox.url) as opened:
        yield opened


@pytest.fixture(scope="session")
async def bank(
    server: asyncpg.Connection,
    templates: dict[str, ServiceDatabase],
    infrastructure: Infrastructure,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Bank]:
    """The credits service beside all shops, whose books are audited in the end."""
    made = ServicePool(server, templates)
    ledger, folder = Credits(await made("credits"), catalogue=CATALOGUE), tmp_path_factory.mktemp("credits")
    async with serving(made.urls("credits"), infrastructure, catalogue=CATALOGUE, folder=folder) as api:
        to_credits = ServiceClient("credits", base_url=str(api.http.base_url), signer=api.signer)
        yield Bank(ledger, CreditsClient(to_credits), str(api.http.base_url), folder / PAYMENTS_KEY)
        await to_credits.stop()
    await assert_books_balance(ledger.pool)
    await made.drop()


@dataclass
class Checked:
    """How far the sandbox's log was audited."""

    exchange: int = 0
    events: int = 0


@pytest.fixture(scope="session")
def checked() -> Checked:
    return Checked()


@pytest.fixture
async def everything_said_is_stripes(sandbox: RunningSandbox, checked: Checked) -> AsyncIterator[None]:
    """After the test: every request we sent, and every answer and event we got, fits Stripe's description."""
    yield
    await sandbox.put("faults", {"faults": []})
    exchanges = (await sandbox.get(f"requests?after={checked.exchange}"))["data"]
    events = (await sandbox.get("events"))["data"][checked.events :]
    checked.exchange = max([checked.exchange, *(exchange["number"] for exchange in exchanges)])
    checked.events += len(events)
    assert stripe_checks.problems(exchanges, events) == []


@pytest.fixture
async def unaudited_shop(
    *,
    service_pool: ServicePool,
    sandbox: RunningSandbox,
    browser: stripe.StripeClient,
    everything_said_is_stripes: None,
    bank: Bank,
    tmp_path: Path,
) -> AsyncIterator[Shop]:
    """The operations on a fresh database; Stripe is asked just once, and not waited for long."""
    client = Stripe(KEY, api_base=sandbox.url, timeout_seconds=0.5, retries=0)
    yield Shop(await service_pool("payments"), client, sandbox, browser, bank, clock_file=tmp_path / "clock")
    await client.stop()


@pytest.fixture
async def shop(unaudited_shop: Shop) -> AsyncIterator[Shop]:
    """The same, whose books are audited when the test is over."""
    yield unaudited_shop
    await assert_books_balance(unaudited_shop.pool, "payments")
