from collections.abc import AsyncIterator

import pytest

from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits


@pytest.fixture
async def credits(service_pool: ServicePool) -> AsyncIterator[Credits]:
    """The credits service on a fresh database, whose books are audited when the test is over."""
    ledger = Credits(await service_pool("credits"))
    yield ledger
    await assert_books_balance(ledger.pool)
