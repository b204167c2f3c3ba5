"""Subscriptions: FastStream consumers whose offsets are committed after the effect, with three kinds of errors.

A domain "no" is the handler's to record. A transient error is retried in place, so that order is kept. Anything else
is a bug or poison: a few tries, then a dead letter, so that others flow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

from aiokafka import ConsumerRebalanceListener
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage

from libs.chassis.broker import dead_letters, driver
from libs.chassis.broker.dead_letters import DeadLetterLimit, TooManyDeadLettersError
from libs.chassis.broker.records import Record
from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.finishing import finish
from libs.chassis.pool import Pool
from libs.chassis.telemetry import MESSAGES_HANDLED, log, traceparent
from libs.contracts.envelope import CloudEvent
from libs.contracts.topics import Topic

__all__ = ["RETRYABLE", "Consumers", "Drain", "Subscription"]

Handle = Callable[[Sequence[CloudEvent]], Awaitable[None]]

_TRIES = 3
_RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_GIVE_UP_SECONDS = 60.0
_KEYS_AT_ONCE = 8
_POLL_MS = 200
_RECORDS_A_POLL = 200
_REST_SECONDS = 30.0
_LAST_WORDS_SECONDS = 5.0


class Drain(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Lets the batch in hand finish, and commit, before its partitions go to another consumer."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.joined = False

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - aiokafka's signature
        """Wait for the batch in hand; a consumer that is stuck loses its partitions all the same."""
        self.joined = False
        with suppress(TimeoutError):
            async with asyncio.timeout(20), self.lock:
                pass

    async def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002 - aiokafka's signature
        """Note that the group has taken us in; there is nothing to prepare, a partition is its committed offset."""
        self.joined = True


async def parse(records: Any, parse_as_usual: Any) -> Any:
    """Leave headers to us: FastStream's parser fails at one that is no text, and would get its batch for ever (0.7)."""
    message = await parse_as_usual(tuple(replace(record, headers=()) for record in records))
    message.raw_message = records
    return message


async def poll(consumer: Any) -> tuple[Any, ...]:
    """Take records as soon as there are some; FastStream's own poll sleeps after one in vain (0.7)."""
    found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_A_POLL)
    return tuple(chain.from_iterable(found.values()))


async def decode(message: Any) -> Any:
    """Leave decoding to us, for the same reason."""
    return message.body


Read = tuple[Record, CloudEvent | ValueError]
"""A record with the event in it, or why there is none."""


@dataclass
class Subscription:
    """How one topic is consumed: by whom, one key at a time or a batch at once, and whether a failing key parks."""

    consumer: str
    handle: Handle
    pool: Pool
    clock: Clock
    whole_batches: bool
    parks: bool
    keys_at_once: int
    drain: Drain = field(default_factory=Drain)
    limit: DeadLetterLimit = field(default_factory=DeadLetterLimit)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: KafkaMessage) -> None:
        """Handle what was polled, then commit its offsets. Raises only to have all of it delivered again."""
        try:
            async with self.drain.lock:
                await self._handle_all([Record.of(record) for record in message.raw_message])
                reach("consumer.take.before_offsets")
                await message.ack()
        except Exception as error:
            log.error("consumer.rests", consumer=self.consumer, error=repr(error))
            await self._rest(_REST_SECONDS if _is_flood(error) else _RETRY_SECONDS[-1])
            raise

    async def redrive(self, payload: bytes) -> None:
        """Handle one dead letter again, as if it had just come."""
        await self.handle([CloudEvent.decode(payload)])

    async def _handle_all(self, records: Sequence[Record]) -> None:
        fresh, parked = await self._look_up(records)
        by_key: dict[str, list[Read]] = {}
        for record in fresh:
            if record.key not in parked or not await self._hold_back(record):
                by_key.setdefault(record.key, []).append(_read(record))
        if self.whole_batches:
            by_key = await self._handle_at_once(by_key)
        gate = asyncio.Semaphore(self.keys_at_once)
        async with asyncio.TaskGroup() as group:
            for reads in by_key.values():
                group.create_task(self._handle_key(reads, gate))

    async def _look_up(self, records: Sequence[Record]) -> tuple[list[Record], set[str]]:
        """Pass over what a delivery before this one has made a letter; tell also which keys are parked."""
        async with self.pool.connection() as conn:
            known, parked = await dead_letters.look_up(conn, self.consumer, records)
        return [record for record in records if record.origin not in known], parked if self.parks else set()

    async def _handle_at_once(self, by_key: dict[str, list[Read]]) -> dict[str, list[Read]]:
        """Try all keys at once that can be read; returns those left, all if there is a culprit among them."""
        events: list[CloudEvent] = []
        left: dict[str, list[Read]] = {}
        for key, reads in by_key.items():
            sound = [event for _, event in reads if isinstance(event, CloudEvent)]
            if len(sound) == len(reads):
                events += sound
            else:
                left[key] = reads
        try:
            if events:
                await self._patiently(events)
        except RETRYABLE:
            raise
        except Exception as error:
            log.warning("consumer.batch_spoilt", consumer=self.consumer, error=repr(error))
            return by_key
        self._count("handled", len(events))
        return left

    async def _handle_key(self, reads: Sequence[Read], gate: asyncio.Semaphore) -> None:
        async with gate:
            failed = False
            for record, event in reads:
                if failed and self.parks and await self._hold_back(record):
                    continue
                failed = not await self._handle_one(record, event) or failed

    async def _handle_one(self, record: Record, event: CloudEvent | ValueError) -> bool:
        if isinstance(event, ValueError):
            await self._bury(record, f"malformed: {event}", attempts=1)
            return False
        traceparent.set(event.traceparent)
        for attempt in range(1, _TRIES + 1):
            try:
                await self._patiently([event])
            except RETRYABLE:
                raise
            except Exception as error:
                log.exception("consumer.failed", consumer=self.consumer, event_id=event.id, attempt=attempt)
                if attempt == _TRIES:
                    await self._bury(record, repr(error), attempts=attempt)
                    return False
                await self._rest(_RETRY_SECONDS[attempt])
            else:
                break
        self._count("handled", 1)
        return True

    async def _patiently(self, events: Sequence[CloudEvent]) -> None:
        """Retry in place what may pass, for a minute; then, or when we stop, let the broker deliver it again."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + _GIVE_UP_SECONDS
        for tries in count():
            try:
                await self.handle(events)
            except RETRYABLE as error:
                if loop.time() > ends or self.stopping.is_set():
                    raise
                log.warning("consumer.retries", consumer=self.consumer, error=repr(error))
                await self._rest(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)])
            else:
                return

    async def _hold_back(self, record: Record) -> bool:
        async with self.pool.transaction() as conn:
            held = await dead_letters.hold_back(conn, self.consumer, record, at=self.clock.now())
        if held:
            self._count("dead_letter", 1)
        return held

    async def _bury(self, record: Record, error: str, *, attempts: int) -> None:
        """Make it a dead letter, kept and counted or neither: another key's failure does not come between."""
        await finish(self._keep_letter(record, error, attempts=attempts), within_seconds=_LAST_WORDS_SECONDS)

    async def _keep_letter(self, record: Record, error: str, *, attempts: int) -> None:
        with self.limit.one_more():
            async with self.pool.transaction() as conn:
                await dead_letters.record_letter(
                    conn, self.consumer, record, error=error, attempts=attempts, at=self.clock.now()
                )
        self._count("dead_letter", 1)

    async def _rest(self, seconds: float) -> None:
        """Pause, but not when we stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    def _count(self, outcome: str, number: int) -> None:
        MESSAGES_HANDLED.labels(self.consumer, outcome).inc(number)
        if outcome == "handled":
            self.limit.handled(number)


def _read(record: Record) -> Read:
    try:
        return record, CloudEvent.decode(record.payload)
    except ValueError as error:
        return record, error


def _is_flood(error: Exception) -> bool:
    return isinstance(error, TooManyDeadLettersError) or (
        isinstance(error, ExceptionGroup) and error.subgroup(TooManyDeadLettersError) is not None
    )


class Consumers:
    """All subscriptions of a process. Starts when the broker is there, and begins anew when it is another one."""

    def __init__(self, servers: str, *, service: str, pool: Pool, clock: Clock, session_timeout_ms: int) -> None:
        driver.apply()
        self._service = service
        self._pool = pool
        self._clock = clock
        self._session_timeout_ms = session_timeout_ms
        self._broker = KafkaBroker(
            servers,
            client_id=f"scrip-{service}",
            consumer_only=True,  # its producer, which we do not use, stays open when the broker is away (0.7.8)
            allow_auto_create_topics=False,
            logger=None,
            graceful_timeout=20.0,
        )
        self._keeper: asyncio.Task[None] | None = None
        self.subscriptions: list[Subscription] = []

    def subscribe(
        self,
        topic: Topic,
        handle: Handle,
        *,
        ack_policy: AckPolicy,
        parks: bool,
        whole_batches: bool = False,
        keys_at_once: int = _KEYS_AT_ONCE,
    ) -> None:
        """Consume a topic from its earliest record on, in a group of the service's own.

        `ack_policy` is said where the subscription is made; NACK_ON_ERROR, with our commit after the effect, delivers
        at least once. `parks`: a dead letter holds back what follows under its key.
        """
        consumer = f"{self._service}.{topic.name}"
        subscription = Subscription(consumer, handle, self._pool, self._clock, whole_batches, parks, keys_at_once)
        subscriber = self._broker.subscriber(
            topic.name,
            group_id=f"scrip-{consumer}",
            batch=True,
            auto_offset_reset="earliest",
            ack_policy=ack_policy,
            isolation_level="read_committed",
            parser=parse,
            decoder=decode,
            listener=subscription.drain,
            no_reply=True,
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=self._session_timeout_ms // 10,
            rebalance_timeout_ms=60_000,
        )
        subscriber(subscription.take)
        subscriber.get_msg = poll  # type: ignore[method-assign] # see there
        self.subscriptions.append(subscription)

    async def start(self) -> None:
        """Begin to consume as soon as the broker answers."""
        for subscription in self.subscriptions:
            subscription.stopping.clear()
        self._keeper = asyncio.create_task(self._start_when_possible(), name="consumers")

    async def stop(self) -> None:
        """Finish the batches in hand, commit, leave the groups."""
        for subscription in self.subscriptions:
            subscription.stopping.set()
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        await self._broker.stop()

    async def begin_anew(self) -> None:
        """Leave and join again: on a broker without memory every group begins at the earliest record."""
        await self.stop()
        await self.start()

    def ready(self) -> bool:
        """Tell whether every subscription has joined its group."""
        return all(subscription.drain.joined for subscription in self.subscriptions)

    async def _start_when_possible(self) -> None:
        while True:
            try:
                await self._broker.start()
            except Exception as error:
                log.warning("consumers.wait_for_broker", error=repr(error))
                with suppress(Exception):
                    await self._broker.stop()
                await asyncio.sleep(1)
            else:
                return
