"""Adding sealed blocks up: usage, what it cost, what became of lots and their money, day by day; each block once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from libs.chassis.pacing import paced
from libs.chassis.pool import Connection

LOCK = 0x5C21B006
"""Whoever sums has it."""
_PARTS = 8
"""Accounts are added up in so many parts, one after the other, each of which keeps a processor busy for a moment."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some sealed blocks that follow those that are summed: the ids their batches lie between, and the instants."""

    after: int
    block: int
    first: int
    last: int
    begins: datetime
    ends: datetime


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


_ADD_USAGE = """
WITH alike AS MATERIALIZED (
    SELECT account_id, day, meter, actor, properties::text AS properties, sum(usages) AS usages,
           sum(quantity) AS quantity, sum(credits) AS credits
      FROM usage_spending WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
       AND get_byte(uuid_send(account_id), 15) % $5 = $6
     GROUP BY account_id, day, meter, actor, properties::text
), late AS (
    INSERT INTO late_day (account_id, day)
    SELECT DISTINCT account_id, day FROM alike WHERE day < $8 AND (SELECT before_anew FROM usage_summed) < $2
        ON CONFLICT (account_id, day) DO UPDATE SET day = excluded.day  -- whoever looks there waits for this
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
      WHERE u.meter || '.' || p.key = ANY($7)
 ) AS said
 GROUP BY u.account_id, u.day, u.meter, said.dimension, said.value
    ON CONFLICT (account_id, day, meter, dimension, value) DO UPDATE
   SET usages = d.usages + excluded.usages, quantity = d.quantity + excluded.quantity,
       credits = d.credits + excluded.credits"""


_ADD_LOTS = """
WITH moved AS MATERIALIZED (
    SELECT account_id, day, lot_id, sum(burnt)::bigint AS burnt, sum(expired)::bigint AS expired,
           sum(transferred)::bigint AS transferred, sum(taken_back)::bigint AS taken_back
      FROM lot_movement WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
       AND get_byte(uuid_send(account_id), 15) % $5 = $6
     GROUP BY account_id, day, lot_id
), placed AS MATERIALIZED (
    SELECT m.*, l.cost_minor, l.currency, l.granted, coalesce(today.burnt, 0) AS burnt_so_far,
           coalesce(today.expired, 0) AS expired_so_far, coalesce(today.transferred, 0) AS transferred_so_far,
           coalesce(today.taken_back, 0) AS taken_back_so_far,
           CASE WHEN today.lot_id IS NOT NULL THEN today.gone_before
                WHEN l.cost_minor IS NOT NULL THEN coalesce(before.gone, 0)
                + coalesce(sum(m.burnt + m.expired + m.transferred + m.taken_back) OVER (
                      PARTITION BY m.lot_id ORDER BY m.day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                ELSE 0 END::bigint AS gone_before
      FROM moved AS m INNER JOIN lot AS l ON l.id = m.lot_id
      LEFT JOIN lot_day AS today
             ON today.account_id = m.account_id AND today.day = m.day AND today.lot_id = m.lot_id
            AND l.cost_minor IS NOT NULL
      LEFT JOIN LATERAL (
          SELECT d.gone_before + d.burnt + d.expired + d.transferred + d.taken_back AS gone FROM lot_day AS d
           WHERE d.account_id = m.account_id AND d.lot_id = m.lot_id AND d.day < m.day
             AND d.day >= (l.granted_at AT TIME ZONE 'UTC')::date AND l.cost_minor IS NOT NULL
           ORDER BY d.day DESC LIMIT 1
      ) AS before ON true
), summed AS (
    INSERT INTO lot_day AS d (account_id, day, lot_id, burnt, expired, transferred, taken_back, gone_before)
    SELECT account_id, day, lot_id, burnt, expired, transferred, taken_back, gone_before FROM placed
        ON CONFLICT (account_id, day, lot_id) DO UPDATE
       SET burnt = d.burnt + excluded.burnt, expired = d.expired + excluded.expired,
           transferred = d.transferred + excluded.transferred, taken_back = d.taken_back + excluded.taken_back
)
INSERT INTO deferred_day AS d (day, currency, sold_minor, recognised_minor, returned_minor, breakage_minor,
                               transferred_minor)
SELECT p.day, p.currency, 0, sum(now.recognised_minor - before.recognised_minor),
       sum(now.returned_minor - before.returned_minor), sum(now.breakage_minor - before.breakage_minor),
       sum(now.transferred_minor - before.transferred_minor)
  FROM placed AS p
 CROSS JOIN LATERAL paid_for_day(p.cost_minor, p.granted, p.gone_before, p.taken_back_so_far + p.taken_back,
                                 p.expired_so_far + p.expired, p.transferred_so_far + p.transferred,
                                 p.burnt_so_far + p.burnt) AS now
 CROSS JOIN LATERAL paid_for_day(p.cost_minor, p.granted, p.gone_before, p.taken_back_so_far, p.expired_so_far,
                                 p.transferred_so_far, p.burnt_so_far) AS before
 WHERE p.cost_minor IS NOT NULL
 GROUP BY p.day, p.currency
    ON CONFLICT (day, currency) DO UPDATE
   SET recognised_minor = d.recognised_minor + excluded.recognised_minor,
       returned_minor = d.returned_minor + excluded.returned_minor,
       breakage_minor = d.breakage_minor + excluded.breakage_minor,
       transferred_minor = d.transferred_minor + excluded.transferred_minor"""


async def add_blocks(
    conn: Connection, span: Span, properties: Collection[tuple[str, str]], *, today: date, pauses: int = 0
) -> bool:
    """Add blocks to the sums, also by the properties of meters that are named; False if they are not the next ones.

    Needs a transaction. Who comes at the same time waits at the first statement, and then has not the next ones. What
    is alike is added up before it is told apart. Days before today are noted as late, unless all is summed anew.
    Between two steps lies a pause, `pauses` times as long as one took.
    """
    names = sorted(f"{meter}.{name}" for meter, name in properties)
    if not await _begin(conn, span, names):
        return False
    await conn.execute("SELECT set_config('work_mem', '96MB', true)")  # what is sorted fits, of twenty blocks
    within = span.first, span.last, span.begins, span.ends
    await conn.execute(
        """INSERT INTO cost_day AS d (account_id, day, meter, currency, amount_micros)
           SELECT account_id, day, meter, currency, sum(amount_micros)
             FROM usage_cost WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
            GROUP BY account_id, day, meter, currency
               ON CONFLICT (account_id, day, meter, currency) DO UPDATE
              SET amount_micros = d.amount_micros + excluded.amount_micros""",
        *within,
    )
    await conn.execute(
        """INSERT INTO deferred_day AS d (day, currency, sold_minor, recognised_minor, returned_minor, breakage_minor,
                                          transferred_minor)
           SELECT day, currency, sum(cost_minor), 0, 0, 0, 0
             FROM lot_sold WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
            GROUP BY day, currency
               ON CONFLICT (day, currency) DO UPDATE SET sold_minor = d.sold_minor + excluded.sold_minor""",
        *within,
    )
    async for part in paced(range(_PARTS), pauses=pauses):
        await conn.execute(_ADD_USAGE, *within, _PARTS, part, names, today)
        await conn.execute(_ADD_LOTS, *within, _PARTS, part)
    return True


async def _begin(conn: Connection, span: Span, names: Sequence[str]) -> bool:
    """Take blocks as summed, and note by which properties they are told apart; False if they are not the next ones."""
    are_next = await conn.fetchval(
        "UPDATE usage_summed SET block = $1, last_batch = $2 WHERE block = $3 RETURNING true",
        span.block,
        span.last,
        span.after,
    )
    if not are_next:
        return False
    await conn.execute(
        """INSERT INTO usage_told_apart (after_batch, properties)
           SELECT $1, $2::text[]
            WHERE $2::text[] IS DISTINCT FROM (
                SELECT properties FROM usage_told_apart ORDER BY after_batch DESC LIMIT 1)
               ON CONFLICT (after_batch) DO UPDATE SET properties = excluded.properties""",
        span.first - 1,
        names,
    )
    return True


async def forget(conn: Connection) -> None:
    """Forget all sums; they begin anew with the first block. Whoever adds to them is waited for."""
    await conn.execute(
        "UPDATE usage_summed SET block = 0, last_batch = 0, before_anew = greatest(before_anew, last_batch)"
    )
    await conn.execute("DELETE FROM usage_told_apart")
    await conn.execute("DELETE FROM usage_day")
    await conn.execute("DELETE FROM cost_day")
    await conn.execute("DELETE FROM lot_day")
    await conn.execute("DELETE FROM deferred_day")


async def blocks_behind(conn: Connection) -> int:
    """Count the sealed blocks that are not summed."""
    return int(await conn.fetchval("SELECT count(*) FROM block WHERE number > (SELECT block FROM usage_summed)"))
