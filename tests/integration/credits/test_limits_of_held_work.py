"""Limits where credits are reserved before they are spent: what leases and captures burn beyond what is reserved is a
spend like any other, and what is freed is given back to when it was counted."""

from asyncio import gather
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.pool import Pool
from libs.contracts.catalogue import Limits, Policies, RunawayGuard
from libs.contracts.events import RunawayResumed, RunawayStopped
from services.credits.domain.postings import Hold, Lease
from services.credits.operations import limits
from services.credits.store.limits import set_actor_limits
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.desk import Desk
from tests.support.ledger import CATALOGUE
from tests.support.oracle.scripts import StoppedClock
from tests.support.outbox import told_of
from tests.support.postings import capturing, charging, holding, leasing, reserving, settling

ADA, BOB = "user:ada", "key:bob"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Watched(Desk):
    """A desk beside which limits are kept; its clock begins at midnight."""

    def in_time(self, minutes: int = 60) -> datetime:
        return self.clock.now() + timedelta(minutes=minutes)

    async def limit(self, account: UUID, actor: str, *, day: int | None = None, month: int | None = None) -> None:
        async with self.pool.transaction() as conn:
            await set_actor_limits(conn, account, actor, day_limit=day, month_limit=month)

    async def lease(self, account: UUID, amount: int, actor: str | None = ADA) -> Lease:
        begun = leasing(account, amount, until=self.in_time(), actor=actor)
        assert await self.outcomes(begun) == ["accepted"]
        return begun

    async def hold(self, account: UUID, amount: int, actor: str | None = ADA) -> Hold:
        placed = holding(account, amount, until=self.in_time(), actor=actor)
        assert await self.outcomes(placed) == ["accepted"]
        return placed

    async def beat(self, lease: Lease, cost: int, *, ahead: int = 0, final: bool = False) -> tuple[int, int]:
        """Settle a lease by a heartbeat that reserves so much again; answers what was burnt, and what is held."""
        postings = [settling(lease, cost, final=final)]
        again = [reserving(lease, ahead, until=self.in_time(), cost=cost)] if ahead else []
        results = await self.apply(*postings, *again)
        assert {result.outcome for result in results} == {"accepted"}
        return results[0].credits, results[-1].held

    async def spend(self, account: UUID, *amounts: int, actor: str | None = ADA) -> list[str]:
        return [(await self.outcomes(charging(account, amount, actor=actor)))[0] for amount in amounts]


@pytest.fixture
async def pool(service_pool: ServicePool) -> AsyncIterator[Pool]:
    """A fresh database, whose books are audited in the end."""
    pool = await service_pool("credits", size=10)
    yield pool
    await assert_books_balance(pool)


def watched(pool: Pool, **given: Any) -> Watched:
    """Make a ledger with these limits, where captures may burn more than their hold has."""
    changed = {"limits": Limits(**given), "policies": Policies(capture_above_hold=True), "welcome_bonus": None}
    return Watched(pool, StoppedClock(), CATALOGUE.model_copy(update=changed))


def guarded(pool: Pool, **guard: Any) -> Watched:
    return watched(pool, runaway=RunawayGuard(**guard))


async def test_a_lease_burns_no_more_beyond_its_reserve_than_its_member_may_in_a_day(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(1000)
    await desk.limit(account, ADA, day=10)
    lease = await desk.lease(account, 1)
    assert await desk.beat(lease, 5000, ahead=1) == (10, 0)
    assert await desk.beat(lease, 6000, ahead=1) == (0, 0)
    assert await desk.has(account) == (990, 0, 0, 0)
    assert await desk.spend(account, 1) == ["above_own_limit"]
    assert await desk.spend(account, 500, actor=BOB) == ["accepted"]


async def test_what_a_member_may_not_spend_today_stays_owed_and_is_settled_tomorrow(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(1000)
    await desk.limit(account, ADA, day=10, month=25)
    lease = await desk.lease(account, 1)
    assert await desk.beat(lease, 32) == (10, 0)
    assert await desk.apply(reserving(lease, 1, until=desk.in_time(24 * 60 + 30), cost=32))
    desk.travel(DAY)
    assert await desk.beat(lease, 32) == (10, 0)
    later = await desk.lease(account, 1, BOB)
    assert await desk.beat(later, 40) == (40, 0)
    assert await desk.beat(lease, 32, final=True) == (0, 0)
    other = leasing(account, 4, until=desk.in_time(2 * 24 * 60), actor=ADA)
    desk.travel(DAY)
    assert await desk.outcomes(other) == ["accepted"]
    assert await desk.beat(other, 9) == (5, 0)  # the month's limit: 10, 10 and 5


async def test_a_lease_that_passes_the_accounts_hour_stops_it_in_its_transaction_and_that_is_told(pool: Pool) -> None:
    desk = guarded(pool, account_per_hour=20)
    account = await desk.account(1000)
    lease = await desk.lease(account, 5)
    assert await desk.beat(lease, 500, ahead=5) == (20, 0)
    (stopped,) = await told_of(pool, RunawayStopped)
    assert (stopped.actor, stopped.spent, stopped.limit, stopped.refused) == (None, 20, 20, 480)
    assert (await desk.balance(account)).state == "stopped"
    assert await desk.beat(lease, 600, ahead=5) == (0, 0)
    assert await desk.has(account) == (980, 0, 0, 0)
    assert len(await told_of(pool, RunawayStopped)) == 1
    await limits.resume(pool, desk.clock, account, actor=None, by="staff:eve")
    assert await desk.beat(lease, 600) == (20, 0)
    assert len(await told_of(pool, RunawayStopped)) == 2


async def test_a_stopped_actors_lease_burns_what_it_reserved_and_goes_on_when_its_time_has_come(pool: Pool) -> None:
    desk = guarded(pool, actor_per_hour=20, resume_after_minutes=90)
    account = await desk.account(1000)
    lease, other = await desk.lease(account, 8), await desk.lease(account, 8)
    assert await desk.spend(account, 5) == ["runaway"]
    assert await desk.beat(lease, 30, ahead=8) == (8, 8)
    assert await desk.beat(lease, 31, ahead=8) == (0, 8)
    assert await desk.spend(account, 100, actor=None) == ["accepted"]
    desk.travel(timedelta(minutes=59))
    assert await desk.beat(other, 3, ahead=8) == (3, 5)
    assert await desk.beat(lease, 31, ahead=8) == (0, 5)
    desk.travel(timedelta(minutes=31))
    assert await desk.beat(lease, 31, ahead=8) == (12, 5)  # of the twenty before, eight count, half an hour ago
    assert [event.actor for event in await told_of(pool, RunawayResumed)] == [ADA]
    assert [(e.actor, e.spent, e.refused) for e in await told_of(pool, RunawayStopped)] == [(ADA, 16, 5), (ADA, 20, 11)]


async def test_a_settlement_burns_beyond_the_reserve_what_one_transaction_may_and_then_the_rest(pool: Pool) -> None:
    desk = watched(pool, maximum_per_transaction=5)
    account = await desk.account(1000)
    lease = await desk.lease(account, 3)
    assert await desk.beat(lease, 15, ahead=3) == (8, 0)
    assert await desk.beat(lease, 15, ahead=3) == (5, 0)
    assert await desk.beat(lease, 15, ahead=3) == (2, 3)
    assert await desk.beat(lease, 16, final=True) == (1, 0)


async def test_settlements_and_captures_are_no_transactions_of_their_own(pool: Pool) -> None:
    desk = watched(pool, transactions_per_day=2)
    account = await desk.account(1000)
    lease, hold = await desk.lease(account, 1), await desk.hold(account, 1)
    assert await desk.spend(account, 1) == ["too_many_transactions"]
    assert [await desk.beat(lease, cost) for cost in (5, 9)] == [(5, 1), (4, 1)]
    assert await desk.outcomes(capturing(hold, 7)) == ["accepted"]
    desk.travel(DAY - HOUR / 2)
    assert await desk.spend(account, 1, 1, 1) == ["too_many_transactions"] * 3
    desk.travel(HOUR)
    assert await desk.spend(account, 1, 1, 1) == ["accepted", "accepted", "too_many_transactions"]


async def test_leases_of_a_member_at_once_burn_no_more_than_his_limit(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(1000)
    await desk.limit(account, ADA, day=30)
    leases = [await desk.lease(account, 1) for _ in range(8)]
    burnt = await gather(*(desk.beat(lease, 9, final=True) for lease in leases))
    assert sum(credits for credits, _ in burnt) == 30
    assert (await desk.balance(account)).totals.spent == 30


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"maximum_per_transaction": 20}, "above_transaction_limit"),
        ({"runaway": RunawayGuard(account_per_hour=21)}, "runaway"),
        ({"runaway": RunawayGuard(actor_per_hour=21)}, "runaway"),
    ],
)
async def test_a_capture_that_burns_beyond_its_hold_more_than_may_be_spent_is_refused(
    pool: Pool, given: dict[str, Any], refusal: str
) -> None:
    desk = watched(pool, **given)
    account = await desk.account(6000)
    hold = await desk.hold(account, 1)
    assert await desk.outcomes(capturing(hold, 5000)) == [refusal]
    assert await desk.has(account) == (5999, 1, 0, 0)
    stops = [(stopped.spent, stopped.refused) for stopped in await told_of(pool, RunawayStopped)]
    assert stops == ([(1, 4999)] if refusal == "runaway" else [])
    assert await desk.outcomes(capturing(hold, 1)) == ["accepted"]


async def test_what_captures_burn_beyond_their_holds_is_the_members_who_placed_them(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(6000)
    await desk.limit(account, ADA, day=10)
    first, second = await desk.hold(account, 4), await desk.hold(account, 1)
    assert await desk.outcomes(capturing(first, 10), capturing(first, 9)) == ["above_own_limit", "accepted"]
    assert await desk.spend(account, 1) == ["above_own_limit"]
    assert await desk.outcomes(capturing(second, 2), capturing(second, 1)) == ["above_own_limit", "accepted"]
    assert await desk.outcomes(capturing(await desk.hold(account, 4, BOB), 400)) == ["accepted"]


async def test_a_stopped_actors_capture_above_its_hold_is_refused_and_one_within_it_is_not(pool: Pool) -> None:
    desk = guarded(pool, actor_per_hour=20)
    account = await desk.account(1000)
    hold = await desk.hold(account, 15)
    assert await desk.spend(account, 6) == ["runaway"]
    assert await desk.outcomes(capturing(hold, 16), capturing(hold, 15)) == ["stopped", "accepted"]
    assert await desk.has(account) == (985, 0, 0, 0)


async def test_what_a_lease_reserved_after_midnight_and_frees_is_given_back_to_the_new_day(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(1000)
    await desk.limit(account, ADA, day=10)
    desk.travel(timedelta(hours=23, minutes=50))
    lease = await desk.lease(account, 2)
    desk.travel(timedelta(minutes=20))
    assert await desk.beat(lease, 2, ahead=7) == (2, 7)
    assert await desk.spend(account, 4) == ["above_own_limit"]
    desk.travel(timedelta(minutes=10))
    assert await desk.beat(lease, 3, final=True) == (1, 0)
    assert await desk.spend(account, 10, 9, 1) == ["above_own_limit", "accepted", "above_own_limit"]


async def test_what_was_reserved_yesterday_and_is_freed_today_is_not_given_back_today(pool: Pool) -> None:
    desk = watched(pool)
    account = await desk.account(1000)
    await desk.limit(account, ADA, day=10)
    desk.travel(timedelta(hours=23, minutes=50))
    lease = await desk.lease(account, 6)
    desk.travel(timedelta(minutes=20))
    assert await desk.beat(lease, 1, ahead=6) == (1, 6)  # five of yesterday, and one of today
    assert await desk.spend(account, 9) == ["accepted"]
    assert await desk.beat(lease, 1, final=True) == (0, 0)
    assert await desk.spend(account, 2, 1) == ["above_own_limit", "accepted"]


@pytest.mark.parametrize("closed", [True, False])
async def test_leases_that_free_what_they_reserved_do_not_run_away(pool: Pool, *, closed: bool) -> None:
    desk = guarded(pool, account_per_hour=20)
    account = await desk.account(1000)
    desk.travel(timedelta(minutes=50))
    leases = [leasing(account, 1, until=desk.in_time(30)) for _ in range(3)]
    assert await desk.outcomes(*leases) == ["accepted"] * 3
    desk.travel(timedelta(minutes=20))
    for lease in leases:
        await desk.apply(settling(lease, 1), reserving(lease, 5, until=desk.in_time(15), cost=1))
    desk.travel(timedelta(minutes=10) if closed else timedelta(minutes=16))
    for lease in leases if closed else []:
        await desk.beat(lease, 1, final=True)
    assert await desk.spend(account, 17) == ["accepted"]
    assert await told_of(pool, RunawayStopped) == []
