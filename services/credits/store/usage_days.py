"""Sums of usage, day by day."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from libs.chassis.pool import Connection


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used: how often, how much in the meter's unit, and what it cost less what was given back."""

    key: str
    usages: int
    quantity: Decimal
    credits: int


async def summed_until(conn: Connection) -> datetime | None:
    """Tell up to which instant of the ledger the sums go."""
    return await conn.fetchval("SELECT at FROM batch WHERE id = (SELECT last_batch FROM usage_summed)")  # type: ignore[no-any-return]


async def sums(
    conn: Connection, account: UUID, first: date, last: date, *, meter: str | None, dimension: str | None
) -> list[Sum]:
    """Sum an account's days, both ends included: by meter, or by the values of a dimension, the costliest first."""
    rows = await conn.fetch(
        """SELECT CASE WHEN $5::text IS NULL THEN meter ELSE value END AS key, sum(usages)::bigint, sum(quantity),
                  sum(credits)::bigint AS credits
             FROM usage_day
            WHERE account_id = $1 AND day BETWEEN $2 AND $3 AND dimension = coalesce($5, '')
              AND ($4::text IS NULL OR meter = $4)
            GROUP BY key ORDER BY credits DESC, key""",
        account,
        first,
        last,
        meter,
        dimension,
    )
    return [Sum(*row) for row in rows]


async def sums_by_day(conn: Connection, account: UUID, first: date, last: date, *, meter: str | None) -> list[Sum]:
    """Sum an account's days, each by itself, the first one first; days of which nothing is known are left out."""
    rows = await conn.fetch(
        """SELECT day::text, sum(usages)::bigint, sum(quantity), sum(credits)::bigint
             FROM usage_day
            WHERE account_id = $1 AND day BETWEEN $2 AND $3 AND dimension = '' AND ($4::text IS NULL OR meter = $4)
            GROUP BY day ORDER BY day""",
        account,
        first,
        last,
        meter,
    )
    return [Sum(*row) for row in rows]


async def account_since(conn: Connection, account: UUID) -> tuple[int, datetime] | None:
    """Tell what an account has available, and when it was opened."""
    row = await conn.fetchrow("SELECT available, opened_at FROM account WHERE id = $1", account)
    return (row[0], row[1]) if row is not None else None


async def remaining(conn: Connection, account: UUID, *, fifo: bool) -> list[tuple[int, datetime | None]]:
    """Tell what remains of an account's lots, and when each expires, in burn order."""
    rows = await conn.fetch(
        """SELECT remaining, expires_at FROM lot_now WHERE account_id = $1 AND open
            ORDER BY CASE WHEN $2 THEN 0 ELSE priority END, CASE WHEN NOT $2 THEN expires_at END NULLS LAST, id""",
        account,
        fifo,
    )
    return [(row[0], row[1]) for row in rows]
