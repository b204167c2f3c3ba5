"""Many at once on the same accounts: nothing is spent twice, nothing is lost, nobody waits for ever."""

import random
from asyncio import gather
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from libs.contracts import ids
from services.credits.domain.postings import ChargeRefund, Grant, Hold, Posting, Release, Result, Transfer
from services.credits.operations.expiry import settle_due
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, used
from tests.support.oracle.scripts import START, StoppedClock
from tests.support.postings import (
    capturing,
    charging,
    granting,
    holding,
    refunding,
    releasing,
    spending,
    transferring,
    using,
)

WRITERS = 4
CREDIT = 1_000_000


@pytest.fixture
async def credits(service_pool: ServicePool) -> AsyncIterator[Credits]:
    """The credits service with as many connections as there are writers at once here, and more."""
    ledger = Credits(await service_pool("credits", size=20), StoppedClock())
    yield ledger
    await assert_books_balance(ledger.pool)


async def an_account(credits: Credits, amount: int) -> UUID:
    """Open an account with this much."""
    account = ids.new_id()
    await credits.apply(granting(account, amount))
    return account


async def test_fifty_at_once_on_credits_for_ten_accept_exactly_ten_of_whatever_kind(credits: Credits) -> None:
    account = await an_account(credits, 10 * CREDIT)
    until = credits.clock.now() + timedelta(hours=1)

    async def spend(number: int) -> str:
        if number % 4 == 0:
            return {"burnt": "accepted", "PAY001": "insufficient"}[(await credits.use(used(account)))[0]]
        wishes: list[Posting] = [
            spending(account, CREDIT),
            charging(account, CREDIT, order=str(number)),
            holding(account, CREDIT, until=until),
        ]
        (outcome,) = await credits.outcomes(wishes[number % 4 - 1])
        return outcome

    assert Counter(await gather(*(spend(number) for number in range(50)))) == {"accepted": 10, "insufficient": 40}
    assert await credits.available(account) == 0


async def test_fifty_at_once_across_two_lots_and_an_overdraft_take_no_more_than_all_three(
    credits: Credits,
) -> None:
    account = await an_account(credits, 7)
    await credits.apply(granting(account, 5, kind="promotional"))
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET overdraft_limit = 3 WHERE id = $1", account)
    said = await gather(*(credits.outcomes(spending(account, 1)) for _ in range(50)))
    assert Counter(outcome for (outcome,) in said) == {"accepted": 15, "insufficient": 35}
    assert (await credits.balance(account)).overdraft == 3


async def test_one_order_charged_by_fifty_at_once_is_charged_once(credits: Credits) -> None:
    account = await an_account(credits, 100)
    said = await gather(*(credits.outcomes(charging(account, 2, order="1")) for _ in range(50)))
    assert Counter(outcome for (outcome,) in said) == {"accepted": 1, "duplicate": 49}
    assert await credits.available(account) == 98


async def test_one_event_used_by_fifty_at_once_is_burnt_once(credits: Credits) -> None:
    account = await an_account(credits, 100)
    said = await gather(*(credits.outcomes(using(account, 2, id="one")) for _ in range(50)))
    assert Counter(outcome for (outcome,) in said) == {"accepted": 1, "duplicate": 49}


async def test_one_hold_captured_and_released_at_once_is_settled_once(credits: Credits) -> None:
    account = await an_account(credits, 100)
    for _ in range(5):
        hold = holding(account, 4, until=credits.clock.now() + timedelta(hours=1))
        await credits.apply(hold)
        settlements = [capturing(hold, 4), releasing(hold)] * 5
        said = await gather(*(credits.outcomes(settlement) for settlement in settlements))
        assert Counter(outcome for (outcome,) in said) == {"accepted": 1, "hold_settled": 9}
    balance = await credits.balance(account)
    assert (balance.held, balance.available + balance.totals.spent) == (0, 100)


async def test_a_charge_refunded_by_fifty_at_once_gives_back_no_more_than_it_burnt(credits: Credits) -> None:
    account = await an_account(credits, 100)
    charge = charging(account, 20)
    await credits.apply(charge)
    said = await gather(*(credits.outcomes(refunding(charge, 3)) for _ in range(50)))
    assert Counter(outcome for (outcome,) in said) == {"accepted": 6, "above_charge": 44}
    assert await credits.available(account) == 98


async def test_a_hold_that_expires_while_it_is_captured_is_either_captured_or_freed(credits: Credits) -> None:
    account = await an_account(credits, 100)
    holds = [holding(account, 1, until=START + timedelta(minutes=n)) for n in range(1, 21)]
    await credits.apply(*holds)

    async def settle() -> None:
        assert isinstance(credits.clock, StoppedClock)
        credits.clock.instant += timedelta(minutes=1)
        async with credits.pool.transaction() as conn:
            await credits.ledger.apply(conn, [], due=[account])

    turns: list[Awaitable[object]] = []
    for hold in holds:
        turns += [credits.outcomes(capturing(hold, 1)), settle()]
    said = await gather(*turns)
    captured = said.count(["accepted"])
    assert captured + said.count(["hold_expired"]) == 20
    balance = await credits.balance(account)
    assert (balance.held, balance.available, balance.totals.spent) == (0, 100 - captured, captured)


async def test_lots_that_expire_while_they_are_spent_are_spent_or_written_off_once_by_however_many_workers(
    credits: Credits,
) -> None:
    account = ids.new_id()
    instants = [START + timedelta(minutes=n) for n in range(1, 21)]
    await credits.apply(*(granting(account, 1, until=instant) for instant in instants))

    async def expire() -> None:
        await settle_due(credits.pool, credits.ledger, credits.clock)

    assert isinstance(credits.clock, StoppedClock)
    spent = 0
    for instant in instants:
        credits.clock.instant = instant
        _, [outcome], _ = await gather(expire(), credits.outcomes(spending(account, 1)), expire())
        spent += outcome == "accepted"
    credits.clock.instant -= timedelta(hours=1)
    await gather(expire(), expire())
    totals = (await credits.balance(account)).totals
    assert (totals.spent, totals.expired) == (spent, len(instants) - spent)
    assert 0 < spent < len(instants)


def a_batch(rng: random.Random, accounts: Sequence[UUID], credits: Credits) -> list[Posting]:
    """Draw postings over many accounts, in no order."""
    until = credits.clock.now() + timedelta(hours=1)
    made: list[Posting] = []
    for _ in range(rng.randint(1, 12)):
        account, other = rng.sample(accounts, 2)
        amount = rng.randint(1, 5)
        hold, charge = holding(account, amount, until=until), charging(account, amount)
        made += rng.choice(
            [
                [transferring(account, other, amount)],
                [granting(account, amount)],
                [spending(account, amount)],
                [using(account, amount, id=str(rng.randint(1, 50)))],
                [hold, capturing(hold, rng.randint(1, amount), final=rng.random() < 0.5)],
                [hold, releasing(hold)],
                [hold],
                [charge, refunding(charge, rng.randint(1, amount))],
            ]
        )
    return made


def moved(result: Result) -> int:
    """Tell how many credits a posting brought into the ledger, or took out of it."""
    if result.outcome != "accepted" or isinstance(result.posting, Hold | Release | Transfer):
        return 0
    return result.credits if isinstance(result.posting, Grant | ChargeRefund) else -result.posting.amount


async def test_writers_over_many_accounts_neither_deadlock_nor_make_or_lose_a_credit(credits: Credits) -> None:
    """Accounts that nobody has opened are among them: a grant opens one while others hold locks and wait for more."""
    opened = [await an_account(credits, 200) for _ in range(6)]
    accounts = opened + [ids.new_id() for _ in range(30)]

    async def write(rng: random.Random) -> int:
        return sum(
            [moved(result) for _ in range(60) for result in await credits.apply(*a_batch(rng, accounts, credits))]
        )

    total = 6 * 200 + sum(await gather(*(write(random.Random(seed)) for seed in range(WRITERS))))
    async with credits.pool.connection() as conn:
        assert await conn.fetchval("SELECT sum(available + held) FROM account") == total


async def test_writers_at_once_leave_what_one_after_the_other_would(credits: Credits) -> None:
    """What commutes comes out the same in any order: here nobody runs out, so everything does."""
    postings = [*_that_commute(random.Random(7), [await an_account(credits, 10_000) for _ in range(5)])]

    async def write(mine: Sequence[Posting]) -> list[str]:
        return [said for n in range(0, len(mine), 7) for said in await credits.outcomes(*mine[n : n + 7])]

    said = await gather(*(write(postings[n::WRITERS]) for n in range(WRITERS)))
    assert Counter(outcome for outcomes in said for outcome in outcomes) == {"accepted": len(postings)}
    for account in {posting.account for posting in postings}:
        burnt = sum(posting.amount for posting in postings if posting.account == account)
        balance = await credits.balance(account)
        assert (balance.available, balance.totals.spent) == (10_000 - burnt, burnt)


def _that_commute(rng: random.Random, accounts: Sequence[UUID]) -> list[Posting]:
    made: list[Posting] = []
    for number in range(400):
        account, amount = rng.choice(accounts), rng.randint(1, 9)
        made.append(
            rng.choice([spending(account, amount), using(account, amount, id=str(number)), charging(account, amount)])
        )
    return made
