"""The job that posts what is due: an account that cannot be settled keeps no other from being settled."""

from datetime import timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.credits.operations.expiry import settle_due
from tests.support.desk import Desk
from tests.support.oracle.scripts import START
from tests.support.postings import holding

HOUR = timedelta(hours=1)


def not_settled() -> float:
    return REGISTRY.get_sample_value("scrip_accounts_not_settled_total") or 0.0


@pytest.mark.parametrize("place", [0, 4, 10])
async def test_an_account_that_cannot_be_settled_is_left_and_counted_and_all_others_are_settled(
    desk: Desk, place: int
) -> None:
    accounts = [await desk.account(10) for _ in range(11)]
    await desk.apply(*(holding(account, 3, until=START + HOUR) for account in accounts))
    broken = accounts[place]
    await desk.set(broken, "held", 0)  # so that less than nothing would be held
    desk.travel(HOUR)
    before = not_settled()
    assert await settle_due(desk.pool, desk.ledger, desk.clock) == 10
    assert [await desk.has(account) for account in accounts if account != broken] == [(10, 0, 0, 0)] * 10
    assert await desk.has(broken) == (7, 0, 0, 0)
    assert not_settled() == before + 1
    assert await settle_due(desk.pool, desk.ledger, desk.clock) == 0
    assert not_settled() == before + 2
    await desk.set(broken, "held", 3)
    assert [await settle_due(desk.pool, desk.ledger, desk.clock) for _ in range(2)] == [1, 0]
    assert await desk.has(broken) == (10, 0, 0, 0)


async def test_a_database_that_is_away_for_a_moment_is_no_accounts_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await desk.apply(holding(await desk.account(10), 3, until=START + HOUR))
    desk.travel(HOUR)
    before, tries = not_settled(), []

    async def interrupted(*_: object, **__: object) -> None:
        tries.append(1)
        raise asyncpg.DeadlockDetectedError

    with monkeypatch.context() as patched:
        patched.setattr(desk.ledger, "apply", interrupted)
        with pytest.raises(asyncpg.DeadlockDetectedError):
            await settle_due(desk.pool, desk.ledger, desk.clock)
    assert (tries, not_settled()) == ([1], before)
    assert await settle_due(desk.pool, desk.ledger, desk.clock) == 2
