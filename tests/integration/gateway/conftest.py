from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from redis.asyncio import Redis

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.service import Role
from tests.integration.gateway.gateways import Gateway, KeyFiles, Surroundings, running
from tests.integration.gateway.stand_ins import CreditsStandIn, PaymentsStandIn
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool

RunGateway: TypeAlias = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    """The services' keys."""
    return KeyFiles(tmp_path_factory.mktemp("keys")).make()


@dataclass(frozen=True)
class StandIns:
    """What answers in place of the other services."""

    credits: CreditsStandIn
    payments: PaymentsStandIn


@pytest.fixture(scope="session")
async def stand_ins(keys: KeyFiles) -> AsyncIterator[StandIns]:
    """The stand-ins, for the whole session."""
    made = StandIns(CreditsStandIn(keys.public), PaymentsStandIn(keys.public))
    yield made
    await made.credits.go()
    await made.payments.go()


@pytest.fixture
async def credits(stand_ins: StandIns) -> CreditsStandIn:
    """What answers in place of credits, and knows nobody yet."""
    stand_ins.credits.forget()
    await stand_ins.credits.come()
    return stand_ins.credits


@pytest.fixture
async def payments(stand_ins: StandIns) -> PaymentsStandIn:
    """What answers in place of payments, and sold nothing yet."""
    stand_ins.payments.forget()
    await stand_ins.payments.come()
    return stand_ins.payments


@pytest.fixture
def surroundings(
    infrastructure: Infrastructure, keys: KeyFiles, credits: CreditsStandIn, payments: PaymentsStandIn
) -> Surroundings:
    """What stands around a gateway."""
    return Surroundings(keys, credits, payments, infrastructure.kafka, infrastructure.redis_url)


@pytest.fixture
async def run_gateway(
    service_pool: ServicePool, surroundings: Surroundings, tmp_path: Path
) -> AsyncIterator[RunGateway]:
    """Runs gateways on the test's database, which is audited in the end: `async with run_gateway() as gateway`."""
    audited = await service_pool("gateway", size=2)
    database = service_pool.urls("gateway")
    await forget_rates(surroundings.redis_url)

    def run(role: Role = "api", **settings: Any) -> AbstractAsyncContextManager[Gateway]:
        return running(database, surroundings, role=role, clock_file=tmp_path / "clock", settings=settings)

    yield run
    await assert_books_balance(audited, "gateway")


@pytest.fixture
async def gateway(run_gateway: RunGateway) -> AsyncIterator[Gateway]:
    """A gateway that answers requests."""
    async with run_gateway() as running_gateway:
        yield running_gateway


async def forget_rates(url: str) -> None:
    """Forget how often the tests before came from this machine."""
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter("scrip:rate:*"):
            await redis.delete(key)
