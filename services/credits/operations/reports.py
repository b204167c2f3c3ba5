"""The report on deferred revenue: what we owe in credits, in the money that was paid for them."""

from libs.chassis.errors import InvalidRequestError
from libs.chassis.pool import Pool
from libs.contracts.http.reports_v1 import MOST_ROWS, DeferredRow, Report, ReportQuery
from services.credits.domain.reports import WRITTEN, Moved, periods, roll_forward, total
from services.credits.store import reports as store
from services.credits.store import usage_days


async def deferred(pool: Pool, query: ReportQuery) -> Report[DeferredRow]:
    """Tell what is deferred, period by period up to where the ledger is summed. Raises InvalidRequestError."""
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        found = await store.moved(conn, query.since, query.until, written=WRITTEN[query.by][1])
        opening = await store.deferred_before(conn, query.since)
        as_of = await usage_days.summed_until(conn)
    moved: dict[str, dict[str, Moved]] = {currency: {} for currency in opening}
    for row in found:
        moved.setdefault(row["currency"], {})[row["period"]] = Moved(*row[2:])
    last = min(query.until, as_of.date()) if as_of is not None else query.until
    names = periods(query.since, last, query.by)
    if len(names) * len(moved) > MOST_ROWS:
        raise InvalidRequestError(f"that has more than {MOST_ROWS} rows: ask for fewer days, or by month")
    rows = [
        row
        for currency, became in sorted(moved.items())
        for row in roll_forward(currency, opening.get(currency, 0), names, became)
    ]
    return Report(
        since=query.since,
        until=query.until,
        by=query.by,
        data=sorted(rows, key=lambda row: (row.period or "", row.currency)),
        totals=[total(currency, opening.get(currency, 0), became) for currency, became in sorted(moved.items())],
        as_of=as_of,
    )
