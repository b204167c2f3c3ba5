from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.clock import Clock
from libs.contracts.catalogue import Catalogue
from tests.integration.credits.serving import Api, serving
from tests.integration.credits.travelling import Travel
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.desk import Desk
from tests.support.ledger import CATALOGUE, Credits
from tests.support.oracle.scripts import StoppedClock


@pytest.fixture
def catalogue() -> Catalogue:
    """What the deployment under test sells and allows; a test module may have another."""
    return CATALOGUE


@pytest.fixture
async def credits(service_pool: ServicePool, catalogue: Catalogue, tmp_path: Path) -> AsyncIterator[Credits]:
    """The credits service on a fresh database, whose books are audited when the test is over."""
    ledger = Credits(await service_pool("credits"), Clock(tmp_path / "clock"), catalogue)
    yield ledger
    await assert_books_balance(ledger.pool)


@pytest.fixture
async def api(
    credits: Credits,
    service_pool: ServicePool,
    infrastructure: Infrastructure,
    catalogue: Catalogue,
    tmp_path: Path,
) -> AsyncIterator[Api]:
    """Its HTTP API, on the same database and by the same clock."""
    database = service_pool.urls("credits")
    async with serving(database, infrastructure, catalogue=catalogue, folder=tmp_path) as running:
        yield running


@pytest.fixture
def travel(credits: Credits, tmp_path: Path) -> Travel:
    """Moves the clock ahead: `await travel(minutes=5)`."""
    return Travel(tmp_path / "clock", credits)


@pytest.fixture
async def desk(service_pool: ServicePool, catalogue: Catalogue) -> AsyncIterator[Desk]:
    """The ledger alone, by a clock that stands still, nobody being welcomed; its books are audited too."""
    made = Desk(await service_pool("credits"), StoppedClock(), catalogue.model_copy(update={"welcome_bonus": None}))
    yield made
    await assert_books_balance(made.pool)
