"""Sums of usage, day by day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from libs.chassis.pool import Connection

LOCK = 0x5C21B006
"""Whoever sums has it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some sealed blocks that follow those that are summed: the ids their batches lie between, and the instants."""

    after: int
    block: int
    first: int
    last: int
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used: how often, how much in the meter's unit, and what it cost less what was given back."""

    key: str
    usages: int
    quantity: Decimal
    credits: int


async def next_blocks(conn: Connection, *, most: int) -> Span | None:
    """Find the first sealed blocks that are not summed."""
    row = await conn.fetchrow(
        """SELECT s.block, b.number, s.last_batch + 1, b.last_batch, n.begins, n.ends
             FROM usage_summed AS s
            CROSS JOIN LATERAL (
                SELECT number, last_batch FROM block WHERE number BETWEEN s.block + 1 AND s.block + $1
                 ORDER BY number DESC LIMIT 1
            ) AS b
            CROSS JOIN LATERAL (
                SELECT min(at) AS begins, max(at) AS ends FROM batch WHERE id BETWEEN s.last_batch + 1 AND b.last_batch
            ) AS n""",
        most,
    )
    return Span(*row) if row is not None else None


_ADD = """
WITH alike AS MATERIALIZED (
    SELECT account_id, day, meter, actor, properties::text AS properties, sum(usages) AS usages,
           sum(quantity) AS quantity, sum(credits) AS credits
      FROM usage_spending WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
     GROUP BY account_id, day, meter, actor, properties::text
)
INSERT INTO usage_day AS d (account_id, day, meter, dimension, value, usages, quantity, credits)
SELECT u.account_id, u.day, u.meter, said.dimension, said.value, sum(u.usages), sum(u.quantity),
       sum(u.credits)
  FROM alike AS u
 CROSS JOIN LATERAL (
     SELECT '' AS dimension, '' AS value
     UNION ALL
     SELECT 'actor', u.actor WHERE u.actor IS NOT NULL
     UNION ALL
     SELECT 'property:' || p.key, p.value FROM json_each_text(u.properties::json) AS p
      WHERE u.meter || '.' || p.key = ANY($5)
 ) AS said
 GROUP BY u.account_id, u.day, u.meter, said.dimension, said.value
    ON CONFLICT (account_id, day, meter, dimension, value) DO UPDATE
   SET usages = d.usages + excluded.usages, quantity = d.quantity + excluded.quantity,
       credits = d.credits + excluded.credits"""


async def add_blocks(conn: Connection, span: Span, properties: Collection[tuple[str, str]]) -> bool:
    """Add blocks to the sums, also by the properties of meters that are named; False if they are not the next ones.

    Needs a transaction. Who comes at the same time waits at the first statement, and then has not the next ones. What
    is alike is added up before it is told apart.
    """
    are_next = await conn.fetchval(
        "UPDATE usage_summed SET block = $1, last_batch = $2 WHERE block = $3 RETURNING true",
        span.block,
        span.last,
        span.after,
    )
    if not are_next:
        return False
    await conn.execute(
        _ADD,
        span.first,
        span.last,
        span.begins,
        span.ends,
        [f"{meter}.{name}" for meter, name in properties],
    )
    return True


async def forget(conn: Connection) -> None:
    """Forget all sums; they begin anew with the first block. Whoever adds to them is waited for."""
    await conn.execute("UPDATE usage_summed SET block = 0, last_batch = 0")
    await conn.execute("DELETE FROM usage_day")


async def blocks_behind(conn: Connection) -> int:
    """Count the sealed blocks that are not summed."""
    return int(await conn.fetchval("SELECT count(*) FROM block WHERE number > (SELECT block FROM usage_summed)"))


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
