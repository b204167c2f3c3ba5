"""Insight: sums of usage that follow the journal's sealed blocks, so that nobody scans it who asks."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from libs.chassis import failpoints
from libs.chassis.clock import Clock
from libs.chassis.leading import leading
from libs.chassis.pool import Pool
from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.http.insight_v1 import Forecast, HoldSuggestion, SuggestionQuery, UsageQuery, UsageSum, UsageSummary
from libs.contracts.price_book import BooleanProperty, Meter, PriceBook, TextProperty
from services.credits.domain import forecasts, suggestions
from services.credits.domain.errors import UnknownAccountError
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.store import holds, summing
from services.credits.store import usage_days as store
from services.credits.store.usage_days import Sum

_BLOCKS_AT_ONCE = 20
"""So that an account's usages are added up before its sums are written."""
_PASSES = 10
_LOOK_AGAIN_SECONDS = 0.2
_LEARNED_FROM = 1000
"""Holds of a kind: enough to know, few enough to follow a change."""


async def sum_up(pool: Pool, clock: Clock, prices: ActivePrices, *, pauses: int = 0) -> int:
    """Add sealed blocks to the sums, each once; returns how many that was. One worker at a time.

    `pauses` leaves the machine to others, so many times as long as each step took.
    """
    told_apart = told_apart_by((await prices.now()).book)
    done = 0
    for _ in range(_PASSES):
        async with pool.connection() as conn, leading(conn, summing.LOCK) as leads:
            if not leads or (blocks := await summing.next_blocks(conn, most=_BLOCKS_AT_ONCE)) is None:
                return done
            async with conn.transaction():
                if not await summing.add_blocks(conn, blocks, told_apart, today=clock.now().date(), pauses=pauses):
                    return done
                failpoints.reach("credits.sum_up.before_commit")
        done += blocks.block - blocks.after
    return done


def told_apart_by(book: PriceBook) -> list[tuple[str, str]]:
    """Name the properties of meters by which usage is summed: those of few values."""
    return [(name, one) for name, meter in book.meters.items() for one in _of_few_values(meter)]


def _of_few_values(meter: Meter) -> Iterable[str]:
    for name, kind in meter.properties.items():
        listed = isinstance(kind, TextProperty) and (kind.values is not None or kind.summed)
        if listed or isinstance(kind, BooleanProperty):
            yield name


async def summary(pool: Pool, account: UUID, query: UsageQuery) -> UsageSummary:
    """Say where an account's credits went."""
    dimension = query.by if query.by not in ("day", "meter") else None
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        whole = await store.sums(conn, account, query.from_, query.to, meter=query.meter, dimension=None)
        if query.by == "day":
            found = await store.sums_by_day(conn, account, query.from_, query.to, meter=query.meter)
        elif dimension is None:
            found = whole
        else:
            found = await store.sums(conn, account, query.from_, query.to, meter=query.meter, dimension=dimension)
            found = [*found, *_unsaid(whole, found)]
        as_of = await store.summed_until(conn)
    one_unit = query.by == "meter" or query.meter is not None
    return UsageSummary(
        account=account,
        usages=sum(each.usages for each in whole),
        credits=sum(each.credits for each in whole),
        data=[_shown(each, one_unit=one_unit) for each in found],
        as_of=as_of,
    )


def _unsaid(whole: Sequence[Sum], found: Sequence[Sum]) -> list[Sum]:
    """Sum what does not say by what it is to be told apart."""
    usages, quantity, credits = (
        sum(getattr(each, what) for each in whole) - sum(getattr(each, what) for each in found)
        for what in ("usages", "quantity", "credits")
    )
    return [Sum("", usages, quantity, credits)] if usages or credits else []


def _shown(each: Sum, *, one_unit: bool) -> UsageSum:
    return UsageSum(
        key=each.key or None, usages=each.usages, quantity=each.quantity if one_unit else None, credits=each.credits
    )


async def foretell(pool: Pool, ledger: Ledger, clock: Clock, account: UUID) -> Forecast:
    """Say when an account runs out of credits, from what it burnt day by day. Raises UnknownAccountError."""
    await settle_due_of(pool, ledger, clock, account)
    now = clock.now()
    today = now.date()
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        found = await store.account_since(conn, account)
        if found is None:
            raise UnknownAccountError
        available, opened_at = found
        first = max(opened_at.date(), today - timedelta(days=forecasts.LOOKED_BACK_DAYS))
        sums = await store.sums_by_day(conn, account, first, today - timedelta(days=1), meter=None)
        lots = [forecasts.Remaining(*lot) for lot in await store.remaining(conn, account, fifo=ledger.rules.fifo)]
    by_day = {each.key: max(each.credits, 0) for each in sums}
    days = [first + timedelta(days=number) for number in range((today - first).days)]
    burnt = [(day, by_day.get(str(day), 0)) for day in days]
    known = forecasts.known(burnt)
    ahead = await asyncio.to_thread(forecasts.forecast, burnt, lots, now, seed=account)  # tens of milliseconds
    return Forecast(
        account=account,
        available=max(available, 0),
        burnt_per_day=sum(credits for _, credits in known) // len(known) if known else None,
        days_known=len(known),
        likely=ahead.likely if ahead else None,
        earliest=ahead.earliest if ahead else None,
        latest=ahead.latest if ahead else None,
        confidence_percent=forecasts.CONFIDENCE_PERCENT,
        horizon_days=forecasts.HORIZON_DAYS,
        expiring_unused=ahead.expiring if ahead else None,
    )


async def suggest_hold(pool: Pool, prices: ActivePrices, query: SuggestionQuery) -> HoldSuggestion:
    """Suggest how much a hold should reserve, from what the last ones of its kind captured."""
    apart = {name for meter, name in told_apart_by((await prices.now()).book) if meter == query.meter}
    kind = {name: _as_text(value) for name, value in query.properties.items() if name in apart}
    async with pool.connection() as conn:
        captured = await holds.captured_lately(conn, query.meter, kind, limit=_LEARNED_FROM)
    found = suggestions.suggest(captured, percentile=query.percentile)
    return HoldSuggestion(
        credits=found.credits if found else None,
        learned_from=len(captured),
        short_permille=found.short_permille if found else None,
    )


def _as_text(value: PropertyValue) -> str:
    """Write a value as the database does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


async def rebuild(pool: Pool, clock: Clock, prices: ActivePrices) -> AsyncIterator[tuple[int, int]]:
    """Forget all sums and add up every sealed block again; tells, time and again, how many are done and are left.

    Workers that add up meanwhile take their share.
    """
    async with pool.transaction() as conn:
        await summing.forget(conn)
        blocks = await summing.blocks_behind(conn)
    behind = blocks
    while behind:
        yield blocks - behind, behind
        if not await sum_up(pool, clock, prices):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # a worker is at it
        async with pool.connection() as conn:
            behind = min(await summing.blocks_behind(conn), behind)
    yield blocks, 0
