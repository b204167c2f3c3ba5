"""What was paid for credits is spread over what becomes of them, day by day, to the last minor unit."""

import random
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.errors import InvalidRequestError
from libs.chassis.pool import Pool
from libs.contracts.http.reports_v1 import DeferredRow, ReportQuery
from services.credits.domain.books import Rules
from services.credits.operations import insight, reports
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.sealing import Sealer
from tests.integration.credits.summing import sum_journal, sum_up
from tests.integration.credits.test_lot_days import STEPS, a_step
from tests.integration.credits.travelling import Travel
from tests.support.books import assert_books_balance, breaches
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, paid, refunded, used
from tests.support.oracle.playing import Play
from tests.support.oracle.scripts import StoppedClock

APART = "SELECT * FROM paid_for_day($1, $2, $3, $4, $5, $6, $7)"
DAYS = "SELECT * FROM deferred_day ORDER BY day, currency"


async def told(credits: Credits, *, days_ahead: int = 0, by: str = "day") -> list[DeferredRow]:
    """Ask for the report from yesterday on."""
    await sum_up(credits)
    today = credits.clock.now().date()
    query = {"since": today - timedelta(days=1 + days_ahead), "until": today, "by": by}
    found = await reports.deferred(credits.pool, ReportQuery.model_validate(query))
    assert [row.period for row in found.totals] == [None] * len(found.totals)
    return [*found.data, *found.totals]


def shown(row: DeferredRow) -> dict[str, Any]:
    return {name.removesuffix("_minor"): value for name, value in row if isinstance(value, int) and value}


async def test_what_is_paid_is_deferred_until_it_is_burnt(credits: Credits) -> None:
    account = await credits.open()  # with a bonus of ten, which nobody paid for
    await credits.tell(paid(account, "7"))
    await credits.use(used(account, quantity=11))
    *_, today, total = await told(credits)
    assert shown(today) == {"sold": 999, "recognised": 142, "closing": 857}  # 999 / 7 is 142.7
    assert shown(total) == shown(today)
    await credits.use(used(account, quantity=1))
    assert shown((await told(credits))[-1]) == {"sold": 999, "recognised": 285, "closing": 714}
    await credits.use(used(account, quantity=5))
    assert shown((await told(credits))[-1]) == {"sold": 999, "recognised": 999}


async def test_what_expires_is_breakage_and_one_period_opens_with_what_the_one_before_closed(
    credits: Credits, travel: Travel
) -> None:
    account = await credits.open()
    await credits.tell(paid(account, "100", expires_at=credits.clock.now() + timedelta(days=2)))
    await credits.use(used(account, quantity=43))
    await travel(days=3)
    await credits.available(account)
    rows = await told(credits, days_ahead=3)
    assert [shown(row) for row in rows] == [
        {},
        {"sold": 999, "recognised": 329, "closing": 670},
        {"opening": 670, "closing": 670},
        {"opening": 670, "closing": 670},
        {"opening": 670, "breakage": 670},
        {"sold": 999, "recognised": 329, "breakage": 670},
    ]
    months = (await told(credits, days_ahead=3, by="month"))[:-1]
    assert sum(row.breakage_minor for row in months) == 670
    assert all(one.closing_minor == other.opening_minor for one, other in pairwise(months))


async def test_a_refund_of_what_is_spent_undoes_what_was_recognised(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "100")
    await credits.tell(payment)
    await credits.use(used(account, quantity=60))  # ten of them are the bonus
    await credits.tell(refunded(payment, "100", revision=2))
    assert shown((await told(credits))[-1]) == {"sold": 999, "returned": 999}
    await credits.tell(refunded(payment, "20", revision=3))  # it failed, but for a part: the debt is repaid by it
    assert shown((await told(credits))[-1]) == {"sold": 999, "returned": 199, "recognised": 500, "closing": 300}


async def test_before_anything_was_paid_there_is_nothing_to_tell(credits: Credits) -> None:
    assert await told(credits) == []


async def test_more_rows_than_can_be_told_are_refused(credits: Credits, monkeypatch: pytest.MonkeyPatch) -> None:
    await credits.tell(paid(await credits.open(), "100"))
    monkeypatch.setattr(reports, "MOST_ROWS", 1)
    with pytest.raises(InvalidRequestError, match="ask for fewer days, or by month"):
        await told(credits)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_every_minor_unit_that_was_paid_is_deferred_or_went_one_way(
    service_pool: ServicePool, seed: int
) -> None:
    """However the journal was cut into blocks when it was added up."""
    chance = random.Random(seed)
    pool: Pool = await service_pool("credits", size=3)
    await Credits(pool, StoppedClock()).timeline()
    clock = StoppedClock()
    prices, sealer = ActivePrices(pool, clock), Sealer(pool, clock, None)

    async def meanwhile() -> None:
        if chance.random() < 0.5:
            await sealer.seal()
            await insight.sum_up(pool, clock, prices)

    await Play(pool, Rules()).run([a_step(chance) for _ in range(STEPS)], meanwhile=meanwhile)
    await sum_journal(pool, clock, prices, sealer)
    await assert_books_balance(pool)
    async with pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM block") > 5
        days = [dict(row) for row in await conn.fetch(DAYS)]
        lots = await conn.fetch(
            """SELECT l.granted, l.cost_minor, l.remaining + coalesce(h.held, 0) AS left
                 FROM lot_now AS l LEFT JOIN LATERAL (
                     SELECT sum((part ->> 'left')::bigint)::bigint AS held
                       FROM hold, jsonb_array_elements(hold.parts) AS part
                      WHERE hold.state = 'pending' AND (part ->> 'lot')::uuid = l.id) AS h ON true
                WHERE l.cost_minor IS NOT NULL"""
        )
    went = {name: sum(int(day[name]) for day in days) for name in days[0] if name.endswith("_minor")}
    assert all(went.values()), went
    assert went.pop("sold_minor") - sum(went.values()) == sum(
        lot["cost_minor"] - lot["cost_minor"] * (lot["granted"] - lot["left"]) // lot["granted"] for lot in lots
    )
    async for _ in insight.rebuild(pool, clock, prices):
        pass
    async with pool.connection() as conn:
        assert [dict(row) for row in await conn.fetch(DAYS)] == days


@pytest.mark.parametrize("seed", range(3))
async def test_spreading_what_was_paid_never_loses_or_gains_a_minor_unit(credits: Credits, seed: int) -> None:
    chance = random.Random(seed)
    for cost, granted, days in [a_life(chance) for _ in range(200)]:
        parts: list[int] = []
        gone = 0
        async with credits.pool.connection() as conn:
            for day in days:
                [row] = await conn.fetch(APART, cost, granted, gone, *day)
                gone += sum(day)
                parts += row
                assert all(minor == 0 for went, minor in zip(day, row, strict=True) if went == 0)
                assert sum(parts) == cost * gone // granted
        assert (gone, sum(parts)) == (granted, cost)


def a_life(chance: random.Random) -> tuple[int, int, list[list[int]]]:
    """Make up what becomes of a lot, some of it coming back, until all of it is gone."""
    granted = chance.choice([1, 7, 10**6, 99_999_999 * 10**6, chance.randint(1, 10**12)])
    days: list[list[int]] = []
    for _ in range(chance.randint(0, 6)):
        day = [chance.randint(-granted, granted) if chance.random() < 0.5 else 0 for _ in range(4)]
        if 0 <= sum(sum(each) for each in [*days, day]) <= granted:
            days.append(day)
    days.append([0, 0, 0, granted - sum(sum(each) for each in days)])
    return chance.choice([0, 1, 3, 999, 99_999_999]), granted, days


async def test_money_that_is_summed_wrong_is_found_and_summed_anew(credits: Credits) -> None:
    account: UUID = await credits.open_with("100")
    await credits.use(used(account, quantity=20))
    before = await told(credits)
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE deferred_day SET recognised_minor = recognised_minor + 1")
        await conn.execute(
            "UPDATE lot_day SET gone_before = 1 WHERE lot_id IN (SELECT id FROM lot WHERE cost_minor > 0)"
        )
    assert {found.split(":")[0] for found in await breaches(credits.pool, "credits")} == {
        "a lot that was paid for has lost before a day what it lost on the days before",
        "what was paid for credits and became of it is what became of the lots",
    }
    async for _ in insight.rebuild(credits.pool, credits.clock, credits.prices):
        pass
    assert await told(credits) == before
