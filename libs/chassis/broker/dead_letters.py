"""Dead letters: what a consumer could not handle, kept in its own database and told on `<topic>.dlq`.

Where order matters the key of a dead letter parks: what follows under that key waits behind it, until an operator has
it redriven. A letter is `waiting`, then `redriving` when somebody asked for that, then `redriven` or `waiting`
again; or `discarded`, for good.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from libs.chassis import outbox
from libs.chassis.broker.producer import Message
from libs.chassis.broker.records import Record, storable
from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.pool import Connection, Pool
from libs.chassis.pool import Record as Row
from libs.chassis.telemetry import log
from libs.contracts.envelope import LARGEST_EVENT_BYTES

_WAITS = "waits behind an earlier dead letter of its key"
_WINDOW = 50
_TOO_MANY = 25


class TooManyDeadLettersError(Exception):
    """Half of the last messages could not be handled: something is wrong with us, not with them."""


class DeadLetterLimit:
    """Stops a consumer that would dead-letter everything."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=_WINDOW)

    def handled(self, messages: int) -> None:
        """Count messages that were handled."""
        self._last.extend([False] * min(messages, _WINDOW))

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a message that becomes a dead letter within the block, unless the block fails.

        Raises TooManyDeadLettersError when half of the last ones did, and again until others have been handled.
        """
        if sum(self._last) >= _TOO_MANY:
            raise TooManyDeadLettersError
        self._last.append(True)
        try:
            yield
        except BaseException:
            self._last.remove(True)
            raise


async def record_letter(
    conn: Connection, consumer: str, record: Record, *, error: str, attempts: int, at: datetime
) -> None:
    """Keep the record and tell of it; a record already kept stays as it is."""
    kept = await conn.fetchval(
        """INSERT INTO dead_letter (consumer, topic, key, payload, headers, origin, error, attempts, state, recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9) ON CONFLICT DO NOTHING RETURNING true""",
        consumer,
        record.topic,
        record.key,
        record.payload,
        record.headers,
        record.origin,
        storable(error, longest=2000),
        attempts,
        at,
    )
    if kept:
        await _tell(conn, consumer, record, error=error, attempts=attempts, at=at)


async def hold_back(conn: Connection, consumer: str, record: Record, *, at: datetime) -> bool:
    """Keep a record behind the open letters of its key, and redrive it with them if they are being redriven.

    False if there are none (any more), and the record was never kept: it is to be handled.
    """
    held = await conn.fetchval(
        """INSERT INTO dead_letter (consumer, topic, key, payload, headers, origin, error, attempts, state, recorded_at)
           SELECT $1, $2, $3, $4, $5, $6, $7, 0,
                  CASE WHEN bool_or(state = 'redriving') THEN 'redriving' ELSE 'waiting' END, $8
             FROM dead_letter WHERE consumer = $1 AND key = $3 AND state IN ('waiting', 'redriving')
           HAVING count(*) > 0 ON CONFLICT DO NOTHING RETURNING true""",
        consumer,
        record.topic,
        record.key,
        record.payload,
        record.headers,
        record.origin,
        _WAITS,
        at,
    )
    if held:
        await _tell(conn, consumer, record, error=_WAITS, attempts=0, at=at)
        return True
    found = await conn.fetchval(
        "SELECT true FROM dead_letter WHERE consumer = $1 AND origin = $2", consumer, record.origin
    )
    return found is True


async def _tell(conn: Connection, consumer: str, record: Record, *, error: str, attempts: int, at: datetime) -> None:
    """Tell of a letter on `<topic>.dlq`; what is larger than an event may be is told without its content."""
    headers = {
        "dlq_consumer": consumer,
        "dlq_error": storable(error, longest=500),
        "dlq_attempts": str(attempts),
        "dlq_origin": record.origin,
        "dlq_bytes": str(len(record.payload)),
    }
    payload = record.payload if len(record.payload) <= LARGEST_EVENT_BYTES else b""
    await outbox.append_messages(conn, f"{record.topic}.dlq", [Message(record.key, payload)], at=at, headers=headers)


async def look_up(conn: Connection, consumer: str, records: Sequence[Record]) -> tuple[set[str], set[str]]:
    """Tell which origins of records are letters already, whatever became of them, and which keys are parked."""
    rows = await conn.fetch(
        """SELECT origin, NULL AS key FROM dead_letter WHERE consumer = $1 AND origin = ANY($2)
           UNION ALL
           SELECT NULL, key FROM dead_letter
            WHERE consumer = $1 AND key = ANY($3) AND state IN ('waiting', 'redriving')""",
        consumer,
        [record.origin for record in records],
        list({record.key for record in records}),
    )
    return {row["origin"] for row in rows if row["origin"]}, {row["key"] for row in rows if row["key"] is not None}


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
    """Handle again, in order, what somebody asked for; returns how many letters were.

    A letter that fails again waits again, and so does its key; one that met a passing error is tried in the next pass.
    """
    done, failed = 0, set[str]()
    for row in await _asked_for(pool, consumer, limit):
        if row["key"] in failed:
            continue
        try:
            await handle(row["payload"])
        except Exception as error:
            failed.add(row["key"])
            log.warning("dead_letters.redrive_failed", consumer=consumer, key=row["key"], error=repr(error))
            if not isinstance(error, RETRYABLE):
                await _wait_again(pool, consumer, row["key"], repr(error))
            continue
        await _settle(pool, row["id"], now)
        done += 1
    return done


async def _asked_for(pool: Pool, consumer: str, limit: int) -> Sequence[Row]:
    """Read what is to be redriven, but for what came behind a letter that waits again."""
    async with pool.connection() as conn:
        return await conn.fetch(
            """SELECT id, key, payload FROM dead_letter AS letter
                WHERE consumer = $1 AND state = 'redriving' AND NOT EXISTS (
                      SELECT FROM dead_letter AS earlier
                       WHERE earlier.consumer = $1 AND earlier.key = letter.key AND earlier.id < letter.id
                         AND earlier.state = 'waiting')
                ORDER BY id LIMIT $2""",
            consumer,
            limit,
        )


async def _wait_again(pool: Pool, consumer: str, key: str, error: str) -> None:
    async with pool.transaction() as conn:
        await conn.execute(
            """UPDATE dead_letter SET state = 'waiting', attempts = attempts + 1, error = $3
                WHERE consumer = $1 AND key = $2 AND state = 'redriving'""",
            consumer,
            key,
            storable(error, longest=2000),
        )


async def _settle(pool: Pool, letter: int, now: datetime) -> None:
    async with pool.transaction() as conn:
        await conn.execute("UPDATE dead_letter SET state = 'redriven', settled_at = $2 WHERE id = $1", letter, now)
