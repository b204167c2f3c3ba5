"""A lot expires at one instant, whatever zone it was written in and whatever its clocks do there that night."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from libs.contracts import ids
from services.credits.operations.expiry import settle_due
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits
from tests.support.oracle.scripts import StoppedClock
from tests.support.postings import granting, spending

WRITTEN = [
    ("Europe/Berlin", "2027-03-28T02:30:00", 0),  # an hour that there is not
    ("Europe/Berlin", "2027-10-31T02:30:00", 0),  # an hour that there is twice: the first
    ("Europe/Berlin", "2027-10-31T02:30:00", 1),  # and the second
    ("America/New_York", "2027-03-14T02:30:00", 0),
    ("America/Sao_Paulo", "2027-02-28T23:59:59", 0),
    ("Asia/Kolkata", "2028-02-29T00:00:00", 0),
    ("Asia/Kathmandu", "2027-12-31T23:59:59.999999", 0),
    ("Australia/Lord_Howe", "2027-04-04T01:45:00", 1),  # half an hour twice
    ("Pacific/Kiritimati", "2027-01-31T12:00:00", 0),
    ("UTC", "2027-06-30T00:00:00", 0),
]


@pytest.fixture
async def credits(service_pool: ServicePool) -> AsyncIterator[Credits]:
    ledger = Credits(await service_pool("credits"), StoppedClock())
    yield ledger
    await assert_books_balance(ledger.pool)


@pytest.mark.parametrize(("zone", "local", "fold"), WRITTEN)
async def test_a_lot_can_be_spent_until_its_instant_and_not_from_it_on(
    credits: Credits, zone: str, local: str, fold: int
) -> None:
    written = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=fold)
    instant, account = written.astimezone(UTC), ids.new_id()
    assert isinstance(credits.clock, StoppedClock)
    credits.clock.instant = instant - timedelta(days=1)
    await credits.apply(granting(account, 2, until=written))
    credits.clock.instant = instant - timedelta(microseconds=1)
    await settle_due(credits.pool, credits.ledger, credits.clock)
    assert await credits.outcomes(spending(account, 1)) == ["accepted"]
    credits.clock.instant = instant
    assert await credits.outcomes(spending(account, 1)) == ["insufficient"]
    for _ in range(2):
        await settle_due(credits.pool, credits.ledger, credits.clock)
    assert (await credits.balance(account)).totals.expired == 1
