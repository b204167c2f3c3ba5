import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import httpx2
import pytest
from rich.progress import Progress

from deploy.cli.customer import Customer
from deploy.cli.state import read_state
from deploy.cli.verify import Steps, checks
from deploy.embedded.stack import Stack, StackSettings
from tests.support.sandbox import Sandbox
from tests.support.stripe_checks import Audit

SETTLING_SECONDS = 30
SignUp = Callable[[], Awaitable[Customer]]

TIRELESS = {
    "SCRIP_GATEWAY_CODES_PER_USER_A_MINUTE": "1000",
    "SCRIP_GATEWAY_CODES_PER_ADDRESS_A_MINUTE": "10000",
    "SCRIP_GATEWAY_PAYMENTS_PER_USER_A_MINUTE": "1000",
    "SCRIP_GATEWAY_PAYMENTS_PER_ADDRESS_A_MINUTE": "10000",
}
"""Codes may be tried, and payments begun, more often than by people: a test has all its tries within seconds."""

_numbers = count()


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole of Scrip, with short consumer sessions, so that a killed worker is soon replaced."""
    folder = tmp_path_factory.mktemp("stack")
    env = {
        "SCRIP_KAFKA_SESSION_TIMEOUT_MS": "3000",
        "SCRIP_FAIL_POINT_FILE": str(folder / "fail-point"),
        **TIRELESS,
    }
    running = Stack(StackSettings(data=folder), say=print, env=env)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


def fail_point_file(stack: Stack) -> Path:
    """The file in which a test writes where a service shall die."""
    return stack.home / "fail-point"


def move_clock(stack: Stack, *, minutes: int) -> None:
    """Move the clock of every process of the stack ahead."""
    file = stack.clock_file
    now = float(file.read_text("ascii")) if file.exists() else 0.0
    file.write_text(str(now + minutes * 60), "ascii")


@pytest.fixture(scope="module")
async def gateway(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks with the gateway."""
    async with httpx2.AsyncClient(base_url=stack.addresses.gateway, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
async def sandbox(stack: Stack) -> AsyncIterator[Sandbox]:
    """The switches and views of the Stripe sandbox."""
    async with httpx2.AsyncClient(base_url=stack.addresses.stripe or "", timeout=60) as http:
        yield Sandbox(http)


@pytest.fixture(scope="session")
def audit(stack: Stack) -> Audit:
    """Holds what passed between us and Stripe against Stripe's description."""
    return Audit(stack.addresses.stripe or "")


@pytest.fixture
def sign_up(gateway: httpx2.AsyncClient, stack: Stack) -> SignUp:
    """Signs up new customers, each with the welcome bonus of ten credits."""

    async def new_customer() -> Customer:
        email = f"customer-{next(_numbers)}@example.com"
        return await Customer.sign_up(gateway, email=email, name="A Customer", stripe=stack.addresses.stripe or "")

    return new_customer


@pytest.fixture
async def customer(sign_up: SignUp) -> Customer:
    """A new customer."""
    return await sign_up()


@pytest.fixture(autouse=True)
async def books_are_right(stack: Stack, sandbox: Sandbox, audit: Audit) -> AsyncIterator[None]:
    """End every test by auditing all books, and all that passed between us and Stripe."""
    yield
    await sandbox.calm()
    assert await broken_books(stack) == []
    assert await audit.problems() == []


async def broken_books(stack: Stack) -> list[str]:
    """Name what is wrong with the books, once what is on its way has had time to arrive."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + SETTLING_SECONDS
    while True:
        state = read_state(stack.home)
        audited = checks(state, Steps(Progress(disable=True)), heads=None)
        broken = [f"{check.sentence}: {breach}" async for check in audited for breach in check.breaches]
        if not broken or loop.time() > ends:
            return broken
        await asyncio.sleep(0.2)
