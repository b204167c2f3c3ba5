"""Insight: sums of usage that follow the journal's sealed blocks, so that nobody scans it who asks."""

from collections.abc import AsyncIterator, Iterable, Sequence
from uuid import UUID

from libs.chassis import failpoints
from libs.chassis.leading import leading
from libs.chassis.pool import Pool
from libs.contracts.http.insight_v1 import UsageQuery, UsageSum, UsageSummary
from libs.contracts.price_book import BooleanProperty, Meter, PriceBook, TextProperty
from services.credits.operations.active_prices import ActivePrices
from services.credits.store import usage_days as store
from services.credits.store.usage_days import Sum

_BLOCKS_A_PASS = 20


async def sum_up(pool: Pool, prices: ActivePrices) -> int:
    """Add sealed blocks to the sums, each once; returns how many that was. One worker at a time."""
    told_apart = told_apart_by((await prices.now()).book)
    for done in range(_BLOCKS_A_PASS):
        async with pool.connection() as conn, leading(conn, store.LOCK) as leads:
            if not leads or (block := await store.next_block(conn)) is None:
                return done
            async with conn.transaction():
                if not await store.add_block(conn, block, told_apart):
                    return done
                failpoints.reach("credits.sum_up.before_commit")
    return _BLOCKS_A_PASS


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


async def rebuild(pool: Pool, prices: ActivePrices) -> AsyncIterator[tuple[int, int]]:
    """Forget all sums and add up every sealed block again; tells, time and again, how many are done and are left.

    Workers that add up meanwhile take their share.
    """
    async with pool.transaction() as conn:
        await store.forget(conn)
        blocks = await store.blocks_behind(conn)
    behind = blocks
    while behind:
        yield blocks - behind, behind
        await sum_up(pool, prices)
        async with pool.connection() as conn:
            behind = min(await store.blocks_behind(conn), behind)
    yield blocks, 0
