"""The transactional outbox: an event commits with its fact, and is published afterwards, at least once, in order.

Kafka is transport, never the record. Rows are kept for days, whether the broker has them or not, so that a broker that
forgot everything can be told again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import orjson

from libs.chassis.broker.producer import Message, Producer
from libs.chassis.failpoints import reach
from libs.chassis.finishing import finish
from libs.chassis.pool import TRANSIENT, Connection, Pool
from libs.chassis.telemetry import OUTBOX_PENDING, OUTBOX_PUBLISHED, log, traceparent
from libs.contracts.events.base import Event

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

KEPT = timedelta(days=7)
"""For how long rows stay after they were recorded; longer only while they are not published."""

_LOCK = 0x5C21B002
_CHANNEL = "outbox"
_ROWS_A_PASS = 200
_POLL_SECONDS = 1.0
_NOTIFY_EVERY_SECONDS = 0.005
_LAST_WORDS_SECONDS = 5.0
LARGEST_MESSAGE_BYTES = 1_000_000
"""What any broker takes by its own defaults, with some room for headers."""


class MessageTooLargeError(ValueError):
    """No broker would take this message, and all that follow would wait behind it."""


async def append(conn: Connection, *events: Event, at: datetime) -> None:
    """Record events in the transaction of the fact they tell; one row per topic."""
    by_topic: dict[str, list[Message]] = {}
    for event in events:
        by_topic.setdefault(event.topic.name, []).append(written(event, at=at, traceparent=traceparent.get()))
    for topic, messages in by_topic.items():
        await append_messages(conn, topic, messages, at=at)


def written(event: Event, *, at: datetime, traceparent: str | None) -> Message:
    """Write an event as it will travel."""
    return Message(event.key(), event.write(at=at, traceparent=traceparent))


async def append_messages(
    conn: Connection, topic: str, messages: Sequence[Message], *, at: datetime, headers: dict[str, str] | None = None
) -> None:
    """Record messages that are already written, as one row; `headers` go with each. Raises MessageTooLargeError."""
    if any(len(message.payload) > LARGEST_MESSAGE_BYTES for message in messages):
        raise MessageTooLargeError
    await conn.execute(
        "INSERT INTO outbox (topic, keys, payloads, headers, recorded_at) VALUES ($1, $2, $3, $4, $5)",
        topic,
        [message.key for message in messages],
        [message.payload for message in messages],
        orjson.dumps(headers).decode() if headers else None,
        at,
    )


async def republish(conn: Connection, *, since: datetime) -> int:
    """Have everything recorded since then published again, in order; returns how many rows that is."""
    tag = await conn.execute(
        "UPDATE outbox SET published_at = NULL, asked_again = asked_again + 1 WHERE recorded_at >= $1", since
    )
    return int(tag.split()[-1])


async def meet_cluster(conn: Connection, cluster: str, *, at: datetime) -> int:
    """Note which Kafka cluster we publish to; another than the one before is told everything that is kept.

    Returns how many rows that is. To be called in a transaction: of several processes one has it told.
    """
    before = await conn.fetchval("SELECT cluster FROM broker FOR UPDATE")
    if before == cluster:
        return 0
    await conn.execute(
        """INSERT INTO broker (cluster, met_at) VALUES ($1, $2)
           ON CONFLICT (single) DO UPDATE SET cluster = $1, met_at = $2""",
        cluster,
        at,
    )
    return 0 if before is None else await republish(conn, since=at - KEPT)


async def prune(conn: Connection, *, now: datetime, keep: timedelta = KEPT) -> int:
    """Drop what was published and is older than we promise to remember; returns how many rows that was."""
    tag = await conn.execute("DELETE FROM outbox WHERE published_at IS NOT NULL AND recorded_at < $1", now - keep)
    return int(tag.split()[-1])


@dataclass(frozen=True, slots=True)
class Row:
    """A row that waits to be published."""

    id: int
    asked_again: int
    topic: str
    messages: list[Message]


class Relay:
    """Publishes the outbox. One relay per database is active, under an advisory lock; the others stand by.

    It is woken by commits in its own process, by NOTIFY from others (sent outside their transactions, a few
    milliseconds apart at most), and by a slow poll behind both.
    """

    def __init__(self, pool: Pool, producer: Producer, *, database_url: str) -> None:
        self._pool = pool
        self._producer = producer
        self._url = database_url
        self._news = asyncio.Event()
        self._active = False
        self._untold = False
        self._notifying: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        pool.on_commit(self.wake)

    @property
    def active(self) -> bool:
        """Tell whether this relay is the one that publishes."""
        return self._active

    async def start(self) -> None:
        """Begin to publish, or to stand by."""
        self._loop = asyncio.create_task(self._keep_running(), name="outbox-relay")

    async def stop(self) -> None:
        """Stop after what is in flight has been marked."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        if self._notifying is not None:
            await asyncio.gather(self._notifying, return_exceptions=True)

    def wake(self) -> None:
        """Say that there may be something to publish."""
        if self._active:
            self._news.set()
            return
        self._untold = True
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        while self._untold:
            await asyncio.sleep(_NOTIFY_EVERY_SECONDS)
            self._untold = False
            with suppress(asyncpg.PostgresError, *TRANSIENT):  # the poll is behind it
                async with self._pool.connection() as conn:
                    await conn.execute(f"NOTIFY {_CHANNEL}")

    async def _keep_running(self) -> None:
        while True:
            try:
                await self._lead()
            except Exception as error:
                log.warning("outbox.relay_interrupted", error=repr(error))
            finally:
                self._active = False
            await asyncio.sleep(_POLL_SECONDS)

    async def _lead(self) -> None:
        """Wait for the lock, then publish for as long as its connection lives."""
        conn = await asyncpg.connect(
            self._url,
            command_timeout=60,
            # a mark that is lost in a crash is published again, and need not be waited for
            server_settings={"application_name": "scrip-outbox-relay", "synchronous_commit": "off"},
        )
        try:
            while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(_POLL_SECONDS)
            await conn.add_listener(_CHANNEL, lambda *_: self._news.set())
            self._active = True
            while True:
                self._news.clear()
                while await self._publish_some(conn):
                    pass
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._news.wait()
        finally:
            await conn.close(timeout=2)

    async def _publish_some(self, conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """Publish the oldest rows; tells whether there may be more. What is sent gets marked, if it can."""
        rows = await _unpublished(conn)
        OUTBOX_PENDING.set(len(rows))
        if not rows:
            return False
        await finish(self._publish(conn, rows), within_seconds=_LAST_WORDS_SECONDS)
        return len(rows) == _ROWS_A_PASS

    async def _publish(self, conn: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Row]) -> None:
        await self._producer.publish((row.topic, message) for row in rows for message in row.messages)
        reach("outbox.publish.before_mark")
        await _mark(conn, rows)
        for row in rows:
            OUTBOX_PUBLISHED.labels(row.topic).inc(len(row.messages))


async def _unpublished(conn: "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]") -> list[Row]:
    found = await conn.fetch(
        """SELECT id, asked_again, topic, keys, payloads, headers FROM outbox
            WHERE published_at IS NULL ORDER BY id LIMIT $1""",
        _ROWS_A_PASS,
    )
    return [Row(r["id"], r["asked_again"], r["topic"], _messages(r)) for r in found]


async def _mark(conn: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Row]) -> None:
    """Note that the broker has the rows, but for those that somebody wants published again since we read them."""
    await conn.execute(
        """UPDATE outbox SET published_at = now()
             FROM unnest($1::bigint[], $2::int[]) AS told (id, asked_again)
            WHERE outbox.id = told.id AND outbox.asked_again = told.asked_again""",
        [row.id for row in rows],
        [row.asked_again for row in rows],
    )


def _messages(row: asyncpg.Record) -> list[Message]:
    headers = orjson.loads(row["headers"]) if row["headers"] else {}
    return [Message(key, payload, headers) for key, payload in zip(row["keys"], row["payloads"], strict=True)]
