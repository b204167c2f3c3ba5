"""Unusual days: who burns far more than ever is told of once; who goes on as he did, never."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.chassis import failpoints
from libs.chassis.pool import Connection
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import UnusualActivity
from services.credits.operations import insight, unusual_days
from services.credits.operations.sealing import Sealer
from services.credits.operations.unusual_days import Watch
from services.credits.store import summing
from services.credits.store import unusual_days as store
from services.credits.store.unusual_days import Found
from tests.integration.credits.serving import Api
from tests.integration.credits.summing import sum_up
from tests.support.desk import Desk
from tests.support.ledger import Credits, used
from tests.support.oracle.scripts import StoppedClock
from tests.support.outbox import told_of

KNOWN_DAYS = 20


def on_day(credits: Credits, account: UUID, quantity: int, *, ago: int = 0) -> CloudEvent:
    """Say that an account burnt this much so many days ago; shortly after midnight yesterday is still today."""
    time = credits.clock.now() - timedelta(days=ago, minutes=10)
    return used(account, quantity=quantity).model_copy(update={"time": time})


async def a_customer(credits: Credits, today: int) -> UUID:
    """Have an account burn 20 credits a day, and today so many."""
    account = await credits.open_with("10000")
    past = [on_day(credits, account, 20 + ago % 2, ago=ago) for ago in range(1, KNOWN_DAYS + 1)]
    await credits.use(*past, on_day(credits, account, today))
    return account


async def look(credits: Credits) -> None:
    """Go through all accounts once."""
    watch = Watch(credits.pool, credits.clock)
    while await watch.look():
        pass


async def listed(api: Api, account: UUID) -> list[dict[str, Any]]:
    answer = await api.get(f"/accounts/{ids.show('account', account)}/unusual-days")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_a_runaway_is_told_once_however_often_and_by_how_many_it_is_seen(credits: Credits, api: Api) -> None:
    account = await a_customer(credits, 200)
    await sum_up(credits)
    await asyncio.gather(look(credits), look(credits), look(credits))
    await credits.use(on_day(credits, account, 500))
    await sum_up(credits)
    await look(credits)
    (event,) = await told_of(credits.pool, UnusualActivity)
    assert (event.account, event.burnt, event.usual) == (account, 200 * MICRO, 21 * MICRO)
    assert event.sequence == KNOWN_DAYS + 3  # the bonus and the purchase
    (day,) = await listed(api, account)
    assert (day["day"], day["burnt"], day["usual"]) == (str(event.day), "200", "21")


async def test_who_goes_on_as_he_did_is_not_told_of(credits: Credits, api: Api) -> None:
    accounts = [await a_customer(credits, today) for today in (0, 20, 42)]
    newcomer = await credits.open_with("1000")
    await credits.use(on_day(credits, newcomer, 900))
    await sum_up(credits)
    await look(credits)
    assert await told_of(credits.pool, UnusualActivity) == []
    assert [await listed(api, account) for account in [*accounts, newcomer]] == [[]] * 4


async def test_those_who_look_at_once_tell_once_even_without_the_lock(
    credits: Credits, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def lead_always(conn: Connection, lock: int) -> AsyncIterator[bool]:
        yield True

    monkeypatch.setattr(unusual_days, "leading", lead_always)
    account = await a_customer(credits, 200)
    await sum_up(credits)
    await asyncio.gather(*(look(credits) for _ in range(4)))
    assert [event.account for event in await told_of(credits.pool, UnusualActivity)] == [account]


class DiedError(BaseException):
    """What stands for SIGKILL here."""


async def test_who_dies_before_it_is_kept_has_told_nothing_and_the_next_one_tells_once(
    credits: Credits, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(process: int, signal: int) -> None:
        raise DiedError

    account = await a_customer(credits, 43)
    await sum_up(credits)
    monkeypatch.setattr(os, "kill", die)
    monkeypatch.setattr(failpoints, "_armed", "credits.watch_activity.before_commit")
    with pytest.raises(DiedError):
        await look(credits)
    assert await told_of(credits.pool, UnusualActivity) == []
    assert await listed(api, account) == []
    failpoints.arm("")
    await look(credits)
    await look(credits)
    assert [event.account for event in await told_of(credits.pool, UnusualActivity)] == [account]


async def test_a_day_that_two_have_found_is_kept_once(credits: Credits) -> None:
    one, other = ids.new_id(), ids.new_id()
    day, at = credits.clock.now().date(), credits.clock.now()
    async with credits.pool.connection() as conn:
        assert await store.note(conn, day, [Found(one, 50, 20)], at=at) == [one]
        assert await store.note(conn, day, [Found(one, 60, 20), Found(other, 70, 20)], at=at) == [other]
        assert [row["burnt"] for row in await store.unusual_days(conn, one, limit=9)] == [50]


async def test_all_accounts_are_gone_through_some_at_a_time(credits: Credits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unusual_days, "_ACCOUNTS_A_PASS", 2)
    accounts = [await a_customer(credits, today) for today in (300, 20, 300, 20, 300)]
    await sum_up(credits)
    async with credits.pool.connection() as conn:
        await conn.execute("DELETE FROM late_day")
    watch = Watch(credits.pool, credits.clock)
    assert [await watch.look() for _ in range(4)] == [2, 2, 0, 2]
    assert {event.account for event in await told_of(credits.pool, UnusualActivity)} == set(accounts[::2])


async def test_what_is_summed_after_midnight_is_of_the_day_before(desk: Desk) -> None:
    assert isinstance(desk.clock, StoppedClock)
    desk.clock.instant += timedelta(days=30, minutes=-1)
    account = await desk.account(10_000 * MICRO)
    past = [(20, timedelta(days=ago)) for ago in range(1, KNOWN_DAYS + 1)]
    for quantity, ago in [*past, (900, timedelta())]:
        await desk.use(used(account, quantity=quantity).model_copy(update={"time": desk.clock.now() - ago}))
    desk.travel(timedelta(minutes=9))
    await sum_up(desk)
    await look(desk)
    assert [event.day for event in await told_of(desk.pool, UnusualActivity)] == [date(2026, 1, 30)]


async def a_runaway_of(desk: Desk, *, told_after: timedelta, quantity: int = 900) -> UUID:
    """Have a customer of old burn far more on an evening than ever, and tell that late; nothing of it is summed."""
    assert isinstance(desk.clock, StoppedClock)
    desk.clock.instant += timedelta(days=30, minutes=-1)  # a minute before midnight
    account = await desk.account(10_000 * MICRO)
    evening = desk.clock.now()
    for ago in range(KNOWN_DAYS, 0, -1):
        time = evening - timedelta(days=ago)
        await desk.use(used(account, quantity=20).model_copy(update={"time": time}))
    await sum_up(desk)
    await look(desk)
    desk.travel(told_after)
    await desk.use(used(account, quantity=quantity).model_copy(update={"time": evening}))
    return account


@pytest.mark.parametrize("told_after", [timedelta(minutes=31), timedelta(days=1), timedelta(days=20)])
async def test_a_runaway_that_is_told_late_is_noticed_once(desk: Desk, told_after: timedelta) -> None:
    account = await a_runaway_of(desk, told_after=told_after)
    for _ in range(2):
        await sum_up(desk)
        await asyncio.gather(look(desk), look(desk))
        again = used(account, quantity=10).model_copy(update={"time": desk.clock.now() - told_after})
        await desk.use(again)
    (event,) = await told_of(desk.pool, UnusualActivity)
    assert (event.account, event.day, event.burnt) == (account, date(2026, 1, 30), 900 * MICRO)


async def test_what_is_told_late_and_not_unusual_is_not_told_of(desk: Desk) -> None:
    await a_runaway_of(desk, told_after=timedelta(days=1), quantity=39)
    await sum_up(desk)
    await look(desk)
    assert await told_of(desk.pool, UnusualActivity) == []


async def test_a_day_that_is_summed_late_is_looked_at_however_long_the_sums_were_behind(desk: Desk) -> None:
    account = await a_runaway_of(desk, told_after=timedelta())
    desk.travel(timedelta(hours=9))
    await desk.use(used(account).model_copy(update={"time": desk.clock.now()}))
    await sum_up(desk)
    await look(desk)
    assert [event.day for event in await told_of(desk.pool, UnusualActivity)] == [date(2026, 1, 30)]


async def test_who_dies_while_he_tells_of_a_late_day_has_not_looked_at_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(process: int, signal: int) -> None:
        raise DiedError

    await a_runaway_of(desk, told_after=timedelta(days=1))
    await sum_up(desk)
    monkeypatch.setattr(os, "kill", die)
    monkeypatch.setattr(failpoints, "_armed", "credits.watch_activity.before_commit")
    with pytest.raises(DiedError):
        await look(desk)
    failpoints.arm("")
    await look(desk)
    assert len(await told_of(desk.pool, UnusualActivity)) == 1


async def test_a_late_day_that_changes_while_it_is_looked_at_is_looked_at_again(desk: Desk) -> None:
    """Whoever looks does not take what is being summed, and so does not miss it."""
    account = await a_runaway_of(desk, told_after=timedelta(days=1), quantity=30)
    await sum_up(desk)
    evening = desk.clock.now() - timedelta(days=1)
    await desk.use(used(account, quantity=300).model_copy(update={"time": evening}))
    sealer = Sealer(desk.pool, desk.clock, None)
    await sealer.seal()
    while await sealer.seal():
        pass
    async with desk.pool.transaction() as conn:
        assert (span := await summing.next_blocks(conn, most=100)) is not None
        assert await summing.add_blocks(conn, span, [], today=desk.clock.now().date())
        await look(desk)
    assert await told_of(desk.pool, UnusualActivity) == []
    await look(desk)
    assert [event.burnt for event in await told_of(desk.pool, UnusualActivity)] == [330 * MICRO]


async def test_what_is_summed_anew_is_nothing_that_comes_late(desk: Desk) -> None:
    await a_runaway_of(desk, told_after=timedelta(days=1))
    await sum_up(desk)
    async for _, behind in insight.rebuild(desk.pool, desk.clock, desk.prices):
        if behind:
            await look(desk)
            assert await told_of(desk.pool, UnusualActivity) == []
    async with desk.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM late_day") == 1
    await look(desk)
    assert len(await told_of(desk.pool, UnusualActivity)) == 1


async def test_the_newest_hundred_are_shown(credits: Credits, api: Api) -> None:
    account, at = await credits.open(), credits.clock.now()
    async with credits.pool.connection() as conn:
        for ago in range(101):
            await store.note(conn, at.date() - timedelta(days=ago), [Found(account, 50, 20)], at=at)
    shown = await listed(api, account)
    assert (len(shown), shown[0]["day"]) == (100, str(at.date()))
    assert [day["day"] for day in shown] == sorted((day["day"] for day in shown), reverse=True)
