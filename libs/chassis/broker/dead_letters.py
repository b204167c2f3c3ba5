"""Dead letters: what a consumer could not handle, kept in its own database and told on `<topic>.dlq`.

Where order matters the key of a dead letter parks: what follows under that key waits behind it, until an operator has
it redriven. A letter is `waiting`, then `redriving` when somebody asked for that, then `redriven` or `waiting` again.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import orjson

from libs.chassis import outbox
from libs.chassis.broker.producer import Message
from libs.chassis.broker.records import Record
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log

_WINDOW = 50
_TOO_MANY = 25


class TooManyDeadLettersError(Exception):
    """Half of the last messages could not be handled: something is wrong with us, not with them."""


class DeadLetterLimit:
    """Stops a consumer that would dead-letter everything."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=_WINDOW)

    def handled(self) -> None:
        """Count a message that was handled."""
        self._last.append(False)

    def check(self) -> None:
        """Count a message about to be dead-lettered. Raises TooManyDeadLettersError when half of the last ones were."""
        self._last.append(True)
        if sum(self._last) > _TOO_MANY:
            self._last.clear()
            raise TooManyDeadLettersError


async def record_letter(
    conn: Connection, consumer: str, record: Record, *, error: str, attempts: int, at: datetime
) -> None:
    """Keep the record and tell of it; a record already kept stays as it is."""
    kept = await conn.fetchval(
        """INSERT INTO dead_letter (consumer, topic, key, payload, headers, origin, error, attempts, state, recorded_at)
           SELECT $1, $2, $3, $4, $5, $6, $7, $8,
                  CASE WHEN EXISTS (SELECT FROM dead_letter WHERE consumer = $1 AND key = $3 AND state = 'redriving')
                       THEN 'redriving' ELSE 'waiting' END, $9
           ON CONFLICT DO NOTHING RETURNING true""",
        consumer,
        record.topic,
        record.key,
        record.payload,
        orjson.dumps(record.headers).decode(),
        record.origin,
        error[:2000].replace("\x00", ""),
        attempts,
        at,
    )
    if kept:
        headers = {"dlq_consumer": consumer, "dlq_error": error[:500], "dlq_attempts": str(attempts)}
        headers["dlq_origin"] = record.origin
        message = Message(record.key, record.payload)
        await outbox.append_messages(conn, f"{record.topic}.dlq", [message], at=at, headers=headers)


async def parked_keys(conn: Connection, consumer: str, keys: Sequence[str]) -> set[str]:
    """Tell which of the keys are parked."""
    rows = await conn.fetch(
        """SELECT DISTINCT key FROM dead_letter
            WHERE consumer = $1 AND key = ANY($2) AND state IN ('waiting', 'redriving')""",
        consumer,
        keys,
    )
    return {row["key"] for row in rows}


async def ask_redrive(conn: Connection, *, consumer: str | None = None, key: str | None = None) -> int:
    """Ask for waiting letters to be handled again; returns how many."""
    tag = await conn.execute(
        """UPDATE dead_letter SET state = 'redriving'
            WHERE state = 'waiting' AND consumer = coalesce($1, consumer) AND key = coalesce($2, key)""",
        consumer,
        key,
    )
    return int(tag.split()[-1])


async def redrive(
    pool: Pool, consumer: str, handle: Callable[[bytes], Awaitable[None]], *, now: datetime, limit: int = 100
) -> int:
    """Handle again, in order, what somebody asked for; a letter that fails again waits again, and so does its key."""
    async with pool.connection() as conn:
        rows = await conn.fetch(
            """SELECT id, key, payload FROM dead_letter
                WHERE consumer = $1 AND state = 'redriving' ORDER BY id LIMIT $2""",
            consumer,
            limit,
        )
    done, failed = 0, set[str]()
    for row in rows:
        if row["key"] in failed:
            continue
        try:
            await handle(row["payload"])
        except Exception as error:
            failed.add(row["key"])
            log.warning("dead_letters.redrive_failed", consumer=consumer, key=row["key"], error=repr(error))
            await _wait_again(pool, consumer, row["key"], repr(error))
            continue
        await _settle(pool, row["id"], now)
        done += 1
    return done


async def _wait_again(pool: Pool, consumer: str, key: str, error: str) -> None:
    async with pool.transaction() as conn:
        await conn.execute(
            """UPDATE dead_letter SET state = 'waiting', attempts = attempts + 1, error = $3
                WHERE consumer = $1 AND key = $2 AND state = 'redriving'""",
            consumer,
            key,
            error[:2000],
        )


async def _settle(pool: Pool, letter: int, now: datetime) -> None:
    async with pool.transaction() as conn:
        await conn.execute("UPDATE dead_letter SET state = 'redriven', settled_at = $2 WHERE id = $1", letter, now)
