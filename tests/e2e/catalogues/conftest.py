from collections.abc import AsyncIterator

import httpx2
import pytest

from deploy.cli.customer import Customer
from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import Stack, StackSettings
from tests.e2e.test_spending import Worker
from tests.support.stripe_checks import Audit


@pytest.fixture(scope="module")
async def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole of Scrip, which sells what the catalogue says that the story names."""
    name = request.module.CATALOGUE
    catalogue = PROJECT / "deploy" / "catalogues" / f"{name}.yaml"
    running = Stack(StackSettings(data=tmp_path_factory.mktemp(name), catalogue=catalogue), say=print)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest.fixture(scope="module")
def audit(stack: Stack) -> Audit:
    """Holds what passed between this stack and Stripe against Stripe's description."""
    return Audit(stack.addresses.stripe or "")


@pytest.fixture
async def worker(customer: Customer, gateway: httpx2.AsyncClient) -> Worker:
    """The customer's service, which charges for what he uses."""
    key = await customer.api_key("charges:write")
    return Worker(gateway, key.secret or "")
