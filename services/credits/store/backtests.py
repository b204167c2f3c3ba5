"""Recorded usage, read in one pass for a backtest: accepted, from the journal, and refused."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record

_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Window:
    """Which usage is meant, by when it was recorded; of the time before, what `counting` meters count from."""

    since: datetime
    until: datetime | None
    account: UUID | None
    counted_from: datetime
    counting: Sequence[str]


_RECORDED = """
      FROM entry
     WHERE type IN ('usage', 'charge') AND at >= $1 AND at < coalesce($2, 'infinity'::timestamptz)
       AND ($3::uuid IS NULL OR account_id = $3)
       AND (at >= $4 OR (leg = 0 AND (type = 'charge' OR reference_id = ANY($5::text[]))))"""


async def count(conn: Connection, window: Window) -> int:
    """Tell how many legs `legs` reads."""
    return int(await conn.fetchval(f"SELECT count(*) {_RECORDED}", *_arguments(window)))


async def legs(conn: Connection, window: Window) -> AsyncGenerator[list[Record], None]:
    """Read the legs of usage and charges, account by account, in the order of applying; needs a transaction.

    Account, leg, time, amount; the meter of usage; and of a first leg that was priced by a book its details as text. No
    account goes back in time: the order of the primary key is that of the sequences.
    """
    cursor = await conn.cursor(
        f"""SELECT account_id, leg, at, amount, CASE type WHEN 'usage' THEN reference_id END AS meter,
                   CASE WHEN price_version IS NOT NULL THEN details::text END AS details {_RECORDED}
             ORDER BY account_id, at, sequence, leg""",
        *_arguments(window),
    )
    ahead = asyncio.create_task(cursor.fetch(_CHUNK))  # the database reads on while what it has read is rated
    try:
        while rows := await ahead:
            ahead = asyncio.create_task(cursor.fetch(_CHUNK))
            yield rows
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)  # the connection is at rest before its transaction ends


def _arguments(window: Window) -> tuple[object, ...]:
    return window.counted_from, window.until, window.account, window.since, list(window.counting)


_REFUSED = """
      FROM rejected_usage
     WHERE at >= $1 AND at < coalesce($2, 'infinity'::timestamptz) AND ($3::uuid IS NULL OR account_id = $3)"""


async def count_refused(conn: Connection, window: Window) -> int:
    """Tell how many usages were refused."""
    found = await conn.fetchval(f"SELECT count(*) {_REFUSED}", window.since, window.until, window.account)
    return int(found)


async def refused(conn: Connection, window: Window) -> AsyncGenerator[list[tuple[str, str]], None]:
    """Read usage that was refused: the code, and the event as it came; needs a transaction."""
    cursor = await conn.cursor(f"SELECT code, event {_REFUSED}", window.since, window.until, window.account)
    while rows := await cursor.fetch(_CHUNK):
        yield [(row[0], row[1]) for row in rows]
