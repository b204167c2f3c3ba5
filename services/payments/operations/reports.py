"""Reports on the money that moved at Stripe: what reconciliation noted, of the mode in which we run."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import TypeVar

from libs.chassis.errors import InvalidRequestError
from libs.chassis.pool import Pool, Record
from libs.contracts.http.base import Page
from libs.contracts.http.reports_v1 import (
    MOST_ROWS,
    GiftCardRow,
    MovementQuery,
    MovementRow,
    PromoCodeRow,
    Report,
    ReportDays,
    ReportQuery,
    RevenueRow,
    Row,
    SalesRow,
    TriesRow,
)
from services.payments.domain.reconciliation import LATE
from services.payments.domain.reports import GiftCards, half_up, permille, roll_forward
from services.payments.store import reports as store
from services.payments.store.reports import Span

R = TypeVar("R", bound=Row)
Read = Callable[..., Awaitable[list[Record]]]

_WRITTEN = {"day": "YYYY-MM-DD", "month": "YYYY-MM"}


async def revenue(pool: Pool, query: ReportQuery, *, livemode: bool) -> Report[RevenueRow]:
    """Tell what was paid, what went back, and what Stripe kept and left of it. Raises InvalidRequestError."""
    rows, as_of = await _read(pool, store.revenue, query, livemode=livemode)
    return _report(query, (_revenue(row) for row in rows), as_of)


async def sales(pool: Pool, query: ReportQuery, *, livemode: bool) -> Report[SalesRow]:
    """Tell what of all that is on sale was sold. Raises InvalidRequestError."""
    rows, as_of = await _read(pool, store.sales, query, livemode=livemode)
    return _report(query, (SalesRow(**row) for row in rows), as_of)


async def promo_codes(pool: Pool, query: ReportQuery, *, livemode: bool) -> Report[PromoCodeRow]:
    """Tell what promo codes took off and brought. Raises InvalidRequestError."""
    rows, as_of = await _read(pool, store.promo_codes, query, livemode=livemode)
    return _report(query, (PromoCodeRow(**row) for row in rows), as_of)


async def tries(pool: Pool, query: ReportQuery, *, livemode: bool) -> Report[TriesRow]:
    """Tell how often paying went well. Raises InvalidRequestError."""
    rows, as_of = await _read(pool, store.tries, query, livemode=livemode)
    return _report(query, (_tries(row) for row in rows), as_of)


async def gift_cards(pool: Pool, query: ReportQuery, *, livemode: bool) -> Report[GiftCardRow]:
    """Tell what was paid for gift cards that nobody has redeemed yet. Raises InvalidRequestError."""
    rows, as_of = await _read(pool, store.gift_cards, query, livemode=livemode)
    by_currency = groupby(rows, key=lambda row: str(row["currency"]))
    rolled = [
        row for currency, of in by_currency for row in roll_forward(currency, [GiftCards(*each[1:]) for each in of])
    ]
    return _report(query, sorted(rolled, key=lambda row: (row.period or "", row.currency)), as_of)


async def movements(pool: Pool, query: MovementQuery, *, livemode: bool) -> Page[MovementRow]:
    """List what the figures are the sums of, the oldest first."""
    span = _span(query, livemode=livemode, written="")
    async with pool.connection() as conn:
        rows = await store.movements(conn, span, after=query.cursor, limit=query.limit + 1)
    found = [MovementRow(**row) for row in rows[: query.limit]]
    return Page(data=found, next_cursor=found[-1].id if len(rows) > query.limit else None)


async def _read(pool: Pool, read: Read, query: ReportQuery, *, livemode: bool) -> tuple[list[Record], datetime | None]:
    span = _span(query, livemode=livemode, written=_WRITTEN[query.by])
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        rows = await read(conn, span, most=MOST_ROWS + 1)
        as_of = await store.followed_until(conn, late=LATE)
    if len(rows) > MOST_ROWS:
        raise InvalidRequestError(f"that has more than {MOST_ROWS} rows: ask for fewer days, or by month")
    return rows, as_of


def _span(days: ReportDays, *, livemode: bool, written: str) -> Span:
    since, until = (datetime.combine(day, time(), UTC) for day in (days.since, days.until + timedelta(days=1)))
    return Span(since, until, livemode, written)


def _report(query: ReportQuery, rows: Iterable[R], as_of: datetime | None) -> Report[R]:
    found = list(rows)
    return Report(
        since=query.since,
        until=query.until,
        by=query.by,
        data=[row for row in found if row.period is not None],
        totals=[row for row in found if row.period is None],
        as_of=as_of,
    )


def _revenue(row: Record) -> RevenueRow:
    average = half_up(row["gross_minor"], row["payments"])
    return RevenueRow(**row, average_minor=average, arpu_minor=half_up(row["kept_minor"], row["paying_accounts"]))


def _tries(row: Record) -> TriesRow:
    return TriesRow(**row, success_permille=permille(row["succeeded"], row["succeeded"] + row["failed"]))
