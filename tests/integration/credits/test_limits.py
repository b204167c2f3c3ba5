"""Limits of spending: at once, a day, an hour, of one who spends; and of buying."""

from asyncio import gather
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Limits, RunawayGuard
from libs.contracts.credits import MICRO
from libs.contracts.events import RunawayResumed, RunawayStopped
from libs.contracts.http.limits_v1 import ActorLimitsOrder
from services.credits.domain.errors import LimitExceededError
from services.credits.domain.postings import Capture, Cause, Charge, Hold, Outcome, Posting, Release, Result, Transfer
from services.credits.operations import limits
from services.credits.operations.expiry import settle_due
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import CATALOGUE, Credits, used
from tests.support.outbox import told_of

ADA, BOB = "user:ada", "key:bob"
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)


class StoppedClock(Clock):
    """Shows the time that a test sets."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


class Limited(Credits):
    """A ledger with limits, at whose accounts one can spend by hand."""

    clock: StoppedClock

    async def post(self, *postings: Posting) -> list[Result]:
        async with self.pool.transaction() as conn:
            return (await self.ledger.apply(conn, postings))[1]

    async def spend(self, account: UUID, credits: int, actor: str | None = None) -> Outcome:
        (result,) = await self.post(charge(account, credits, actor))
        return result.outcome

    async def hold(self, account: UUID, credits: int, actor: str | None = None) -> Hold:
        posting = hold(account, credits, at=self.clock.now(), actor=actor)
        (result,) = await self.post(posting)
        assert result.outcome == "accepted"
        return posting

    async def release(self, placed: Hold) -> Outcome:
        key = ids.new_id()
        (result,) = await self.post(
            Release(account=placed.account, key=key, fingerprint=key, amount=0, cause=Cause("release"), hold=placed.id)
        )
        return result.outcome

    async def capture(self, placed: Hold, credits: int) -> Outcome:
        key = ids.new_id()
        posting = Capture(
            account=placed.account,
            key=key,
            fingerprint=key,
            amount=credits * MICRO,
            cause=Cause("capture"),
            hold=placed.id,
            final=True,
        )
        return (await self.post(posting))[0].outcome


def charge(account: UUID, credits: int, actor: str | None = None) -> Charge:
    key = ids.new_id()
    cause = Cause("charge", None, None, "A charge")
    return Charge(account=account, key=key, fingerprint=key, amount=credits * MICRO, cause=cause, actor=actor, id=key)


def hold(account: UUID, credits: int, *, at: datetime, actor: str | None = None) -> Hold:
    key, ends = ids.new_id(), at + timedelta(hours=1)
    return Hold(
        account=account,
        key=key,
        fingerprint=key,
        amount=credits * MICRO,
        cause=Cause("hold"),
        actor=actor,
        id=key,
        expires_at=ends,
        ends_by=ends,
    )


def limited(pool: Pool, **given: Any) -> Limited:
    """Make a ledger with these limits, at noon."""
    catalogue = CATALOGUE.model_copy(update={"limits": Limits(**given)})
    return Limited(pool, clock=StoppedClock(NOON), catalogue=catalogue)


def guarded(pool: Pool, **guard: Any) -> Limited:
    return limited(pool, runaway=RunawayGuard(**guard))


@pytest.fixture
async def pool(service_pool: ServicePool) -> Any:
    """A fresh database, whose books are audited in the end."""
    pool = await service_pool("credits")
    yield pool
    await assert_books_balance(pool)


async def test_one_transaction_costs_no_more_than_the_limit(pool: Pool) -> None:
    credits = limited(pool, maximum_per_transaction=5 * MICRO)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n) for n in (6, 5)] == ["above_transaction_limit", "accepted"]
    (held,) = await credits.post(hold(account, 6, at=NOON))
    assert held.outcome == "above_transaction_limit"
    assert await credits.use(used(account, quantity=6)) == ["burnt"]


async def test_usage_is_limited_where_the_catalogue_counts_it(pool: Pool) -> None:
    credits = limited(pool, maximum_per_transaction=5 * MICRO, transactions_per_day=2, usage_counts=True)
    account = await credits.open_with("100")
    said = await credits.use(*(used(account, quantity=q) for q in (6, 5, 1, 1)))
    assert said == ["PAY006", "burnt", "burnt", "PAY006"]


async def test_a_day_has_so_many_transactions_and_the_next_as_many_again(pool: Pool) -> None:
    credits = limited(pool, transactions_per_day=3)
    account, other = await credits.open_with("100"), await credits.open()
    key = ids.new_id()
    give = Transfer(
        account=account, key=key, fingerprint=key, amount=MICRO, cause=Cause("transfer"), to=other, lot=ids.new_id()
    )
    placed = await credits.hold(account, 2)
    assert [r.outcome for r in await credits.post(give, charge(account, 200), charge(account, 1))] == [
        "accepted",
        "insufficient",
        "accepted",
    ]
    assert await credits.spend(account, 1) == "too_many_transactions"
    assert await credits.capture(placed, 1) == "accepted"
    assert await credits.use(used(account)) == ["burnt"]
    credits.clock.move(hours=12)
    assert await credits.spend(account, 1) == "accepted"


async def test_of_many_spends_at_once_no_more_than_a_days_are_accepted(pool: Pool) -> None:
    credits = limited(pool, transactions_per_day=7)
    account = await credits.open_with("100")
    said = await gather(*(credits.spend(account, 1) for _ in range(30)))
    assert said.count("accepted") == 7


async def test_a_spend_beyond_the_hours_limit_is_refused_and_stops_the_account_in_its_transaction(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO)
    account = await credits.open_with("100")
    said = await credits.use(*(used(account, quantity=q) for q in (8, 8, 8, 1)))
    assert said == ["burnt", "burnt", "PAY006", "PAY006"]
    assert (await credits.balance(account)).state == "stopped"
    (stopped,) = await told_of(pool, RunawayStopped)
    assert (stopped.spent, stopped.limit, stopped.refused) == (16 * MICRO, 20 * MICRO, 8 * MICRO)
    assert (stopped.actor, stopped.resumes_at) == (None, None)
    assert await credits.spend(account, 1) == "stopped"


async def test_a_stopped_account_is_still_granted_to_and_its_holds_are_settled(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO)
    account = await credits.open_with("100")
    placed = await credits.hold(account, 15)
    assert await credits.spend(account, 6) == "runaway"
    await credits.tell_payment(account, "5")
    assert await credits.capture(placed, 10) == "accepted"
    assert await credits.available(account) == 105 * MICRO


async def test_a_stop_ends_in_time_and_that_is_told(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO, resume_after_minutes=90)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n) for n in (20, 1)] == ["accepted", "runaway"]
    credits.clock.move(minutes=89)
    assert await settle_due(pool, credits.ledger, credits.clock) == 0
    assert await credits.spend(account, 1) == "stopped"
    credits.clock.move(minutes=1)
    assert await settle_due(pool, credits.ledger, credits.clock) == 1
    assert [event.by for event in await told_of(pool, RunawayResumed)] == [None]
    assert (await credits.balance(account)).state == "open"
    assert await credits.spend(account, 1) == "accepted"


async def test_whoever_spends_first_after_a_stops_time_ends_it(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO, resume_after_minutes=150)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n) for n in (20, 1)] == ["accepted", "runaway"]
    credits.clock.move(minutes=150)
    assert await credits.spend(account, 20) == "accepted"
    assert len(await told_of(pool, RunawayResumed)) == 1


async def test_staff_end_a_stop_and_the_hour_begins_anew(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n) for n in (20, 1)] == ["accepted", "runaway"]
    for _ in range(2):
        assert (await limits.resume(pool, credits.clock, account, actor=None, by="staff:eve")).state == "open"
    assert [event.by for event in await told_of(pool, RunawayResumed)] == ["staff:eve"]
    assert [await credits.spend(account, n) for n in (20, 1)] == ["accepted", "runaway"]


async def test_an_hour_slides_over_the_clocks_hours(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=60 * MICRO, resume_after_minutes=1)
    account = await credits.open_with("1000")
    credits.clock.move(minutes=59)
    assert await credits.spend(account, 60) == "accepted"
    credits.clock.move(minutes=2)  # 12:01: fifty-nine of the sixty still count
    assert await credits.spend(account, 2) == "runaway"
    credits.clock.move(minutes=29)  # 13:30: thirty of them
    assert [await credits.spend(account, n) for n in (30, 1)] == ["accepted", "runaway"]


async def test_what_a_hold_frees_counts_no_more(pool: Pool) -> None:
    credits = guarded(pool, account_per_hour=20 * MICRO)
    account = await credits.open_with("100")
    assert await credits.capture(await credits.hold(account, 20), 5) == "accepted"
    assert await credits.release(await credits.hold(account, 15)) == "accepted"
    assert [await credits.spend(account, n) for n in (15, 1)] == ["accepted", "runaway"]


async def test_one_api_key_that_runs_away_is_stopped_and_the_others_go_on(pool: Pool) -> None:
    credits = guarded(pool, actor_per_hour=10 * MICRO)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n, BOB) for n in (10, 1, 1)] == ["accepted", "runaway", "stopped"]
    assert [await credits.spend(account, n, ADA) for n in (10,)] == ["accepted"]
    assert await credits.spend(account, 50) == "accepted"
    (stopped,) = await told_of(pool, RunawayStopped)
    assert stopped.actor == BOB
    await limits.resume(pool, credits.clock, account, actor=BOB, by="staff:eve")
    assert await credits.spend(account, 10, BOB) == "accepted"
    assert [(event.actor, event.by) for event in await told_of(pool, RunawayResumed)] == [(BOB, "staff:eve")]


async def test_a_stopped_api_key_goes_on_when_its_time_has_come(pool: Pool) -> None:
    credits = guarded(pool, actor_per_hour=10 * MICRO, resume_after_minutes=120)
    account = await credits.open_with("100")
    assert [await credits.spend(account, n, BOB) for n in (10, 1)] == ["accepted", "runaway"]
    credits.clock.move(minutes=120)
    assert await credits.spend(account, 10, BOB) == "accepted"
    assert [event.actor for event in await told_of(pool, RunawayResumed)] == [BOB]


async def test_a_member_spends_within_his_day_and_his_month(pool: Pool) -> None:
    credits = limited(pool)
    account = await credits.open_with("100")
    order = ActorLimitsOrder.model_validate_json('{"per_day": "5", "per_month": "8"}')
    await limits.set_actor_limits(pool, credits.clock, account, ADA, order)
    assert [await credits.spend(account, n, ADA) for n in (6, 5, 1)] == [
        "above_own_limit",
        "accepted",
        "above_own_limit",
    ]
    assert await credits.spend(account, 20, BOB) == "accepted"
    credits.clock.move(days=1)
    assert [await credits.spend(account, n, ADA) for n in (4, 3, 1)] == [
        "above_own_limit",
        "accepted",
        "above_own_limit",
    ]
    (ada,) = (await limits.actors(pool, credits.clock, account)).data
    assert (ada.spent_today, ada.spent_this_month) == (3 * MICRO, 8 * MICRO)
    credits.clock.move(days=20)
    assert await credits.spend(account, 5, ADA) == "accepted"


async def test_what_a_member_uses_counts_too_and_is_refused_beyond_his_limit(pool: Pool) -> None:
    credits = limited(pool)
    account = await credits.open_with("100")
    order = ActorLimitsOrder.model_validate_json('{"per_day": "5"}')
    await limits.set_actor_limits(pool, credits.clock, account, ADA, order)
    by_ada = [used(account, quantity=q).model_copy(update={"actor": ADA}) for q in (3, 3, 2, 1)]
    assert await credits.use(*by_ada) == ["burnt", "PAY006", "burnt", "PAY006"]
    assert await credits.use(by_ada[0].model_copy(update={"actor": BOB})) == ["again"]
    by_bob = used(account, quantity=50).model_copy(update={"actor": BOB})
    assert await credits.use(by_bob, used(account)) == ["burnt", "burnt"]


async def test_an_api_key_whose_usage_runs_away_is_stopped_and_the_others_go_on(pool: Pool) -> None:
    credits = guarded(pool, actor_per_hour=10 * MICRO)
    account = await credits.open_with("100")
    by_bob = [used(account, quantity=q).model_copy(update={"actor": BOB}) for q in (10, 1, 1)]
    assert await credits.use(*by_bob, used(account, quantity=20)) == ["burnt", "PAY006", "PAY006", "burnt"]
    assert [stopped.actor for stopped in await told_of(pool, RunawayStopped)] == [BOB]


async def test_a_members_hold_counts_until_it_is_freed(pool: Pool) -> None:
    credits = limited(pool)
    account = await credits.open_with("100")
    order = ActorLimitsOrder.model_validate_json('{"per_day": "10"}')
    await limits.set_actor_limits(pool, credits.clock, account, ADA, order)
    placed = await credits.hold(account, 10, ADA)
    assert await credits.spend(account, 1, ADA) == "above_own_limit"
    assert await credits.capture(placed, 4) == "accepted"
    assert [await credits.spend(account, n, ADA) for n in (7, 6)] == ["above_own_limit", "accepted"]


async def test_of_a_members_spends_at_once_no_more_than_his_limit_is_accepted(pool: Pool) -> None:
    credits = limited(pool)
    account = await credits.open_with("100")
    order = ActorLimitsOrder.model_validate_json('{"per_month": "7"}')
    await limits.set_actor_limits(pool, credits.clock, account, ADA, order)
    said = await gather(*(credits.spend(account, 1, ADA) for _ in range(25)))
    assert said.count("accepted") == 7


@pytest.mark.parametrize(
    ("credits_asked", "limit"),
    [(9, "minimum_purchase"), (61, "maximum_per_transaction"), (60, "maximum_balance")],
)
async def test_a_purchase_beyond_a_limit_may_not_begin(pool: Pool, credits_asked: int, limit: str) -> None:
    credits = limited(
        pool, minimum_purchase=10 * MICRO, maximum_balance=100 * MICRO, maximum_per_transaction=60 * MICRO
    )
    account = await credits.open_with("40")  # and the bonus of 10
    with pytest.raises(LimitExceededError) as refused:
        await check(credits, account, credits_asked)
    assert refused.value.facts == {"limit": limit}


async def test_a_purchase_within_the_limits_may_begin_and_what_is_paid_is_granted_in_any_case(pool: Pool) -> None:
    credits = limited(pool, minimum_purchase=10 * MICRO, maximum_balance=100 * MICRO)
    account = await credits.open_with("40")
    await credits.hold(account, 20)
    assert await check(credits, account, 50) == 100 * MICRO
    await credits.tell_payment(account, "500")
    assert await credits.available(account) == 530 * MICRO


async def check(credits: Limited, account: UUID, asked: int) -> int:
    allowed = await limits.check_purchase(
        credits.pool,
        credits.ledger,
        credits.clock,
        account,
        credits=asked * MICRO,
        limits=credits.catalogue.limits,
    )
    return allowed.balance_after
