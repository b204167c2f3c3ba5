"""Kafka in: payments through FastStream, usage through aiokafka itself, whose offsets we commit after the effect.

Usage is the hot path: the next poll is decoded while this batch is applied, and a worker consumes it twice over, so
that one consumer decides while the database works for the other.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import get_args

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy

from libs.chassis.broker import dead_letters, driver
from libs.chassis.broker.offsets import Offsets
from libs.chassis.broker.records import Record
from libs.chassis.broker.subscriptions import RETRYABLE, Consumers, Drain
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.telemetry import MESSAGES_HANDLED, log
from libs.contracts.envelope import CloudEvent
from libs.contracts.topics import PAYMENTS_EVENTS, USAGE_EVENTS
from services.credits.domain import usage_events
from services.credits.domain.usage_events import MalformedEventError
from services.credits.domain.usage_records import documents
from services.credits.operations import payments, usage
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger
from services.credits.operations.usage import Rated, rated

USAGE_CONSUMER = "credits.scrip.usage.events.v1"
_POLL_MS = 200
_FETCHED_BYTES = 256 * 1024
"""Of each partition at once: about a thousand events."""
_AT_A_STRETCH = 50
"""Events read without looking whether the database has answered."""
_RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)


def subscribe(consumers: Consumers, pool: Pool, ledger: Ledger) -> None:
    """Consume what payments tells. A dead letter parks its account: what follows may build on it."""

    async def settle(events: Sequence[CloudEvent]) -> None:
        told = [_payment(event) for event in events]
        await payments.settle(pool, ledger, [event for event in told if event is not None])

    consumers.subscribe(PAYMENTS_EVENTS, settle, ack_policy=AckPolicy.NACK_ON_ERROR, parks=True, whole_batches=True)


_ABOUT_CREDITS: dict[str, type[payments.Told]] = {kind.type: kind for kind in get_args(payments.Told)}


def _payment(event: CloudEvent) -> payments.Told | None:
    kind = _ABOUT_CREDITS.get(event.type)
    return kind.of(event) if kind is not None else None


@dataclass(frozen=True, slots=True)
class Polled:
    """A poll, decoded: what can be burnt, what cannot even be read, and where to go on from."""

    generation: int
    usages: list[tuple[ConsumerRecord, Rated]]
    malformed: list[tuple[ConsumerRecord, bytes, str]]
    offsets: dict[TopicPartition, int]


class UsageConsumer:
    """Burns usage from its topic, in batches, one at a time; a member of the group of all credits workers."""

    def __init__(
        self,
        servers: str,
        *,
        pool: Pool,
        ledger: Ledger,
        prices: ActivePrices,
        clock: Clock,
        batch: int,
        session_ms: int,
    ) -> None:
        driver.apply()
        self._servers = servers
        self._pool = pool
        self._ledger = ledger
        self._prices = prices
        self._clock = clock
        self._batch = batch
        self._session_ms = session_ms
        self._drain = _UsageDrain()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False

    async def ready(self) -> bool:
        """Tell whether the group has taken us in."""
        return self._drain.joined

    async def start(self) -> None:
        """Begin to consume as soon as the broker answers."""
        self._stopping = False
        self._loop = asyncio.create_task(self._keep_consuming(), name="usage")

    async def stop(self) -> None:
        """Finish the batch in hand, commit, leave the group."""
        self._stopping = True
        if self._loop is not None:
            done, _ = await asyncio.wait([self._loop], timeout=15)
            if not done:
                self._loop.cancel()

    async def redrive(self, payload: bytes) -> None:
        """Burn one dead letter again, as if it had just come. Raises MalformedEventError if it cannot be read still."""
        timeline = await self._prices.timeline()
        await usage.burn(self._pool, self._ledger, [rated(timeline, usage_events.read(payload), self._clock.now())])

    async def _keep_consuming(self) -> None:
        while not self._stopping:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers,
                group_id=f"scrip-{USAGE_CONSUMER}",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=_FETCHED_BYTES,
                session_timeout_ms=self._session_ms,
                heartbeat_interval_ms=self._session_ms // 10,
                rebalance_timeout_ms=60_000,
            )
            consumer.subscribe([USAGE_EVENTS.name], listener=self._drain)
            try:
                await consumer.start()
                await self._consume(consumer)
            except (KafkaError, *RETRYABLE) as error:
                log.warning("usage.interrupted", error=repr(error))
            except Exception:
                log.exception("usage.failed")
            finally:
                self._drain.joined = False
                with suppress(KafkaError, *RETRYABLE):
                    await consumer.stop()
            if not self._stopping:
                await asyncio.sleep(1)

    async def _consume(self, consumer: AIOKafkaConsumer) -> None:
        polling = asyncio.create_task(self._poll(consumer))
        offsets = self._drain.offsets = Offsets(consumer)
        try:
            while not self._stopping:
                polled = await polling
                if polled.generation != self._drain.generation:
                    await _seek_to_committed(consumer)  # it may hold what is another's now, or lack what is ours
                    polled = Polled(self._drain.generation, [], [], {})
                polling = asyncio.create_task(self._poll(consumer))
                async with self._drain.lock:
                    # if partitions moved before we had the lock, the poll that has begun is stale too: we go back then
                    if polled.offsets and polled.generation == self._drain.generation:
                        await self._apply(polled)
                        offsets.note(polled.offsets)
            await offsets.flush()
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            with suppress(KafkaError):
                await offsets.flush()

    async def _poll(self, consumer: AIOKafkaConsumer) -> Polled:
        """Take what has come, read it and rate it, while the database works on the batch before."""
        generation = self._drain.generation
        found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._batch)
        polled = Polled(generation, [], [], {partition: records[-1].offset + 1 for partition, records in found.items()})
        timeline, now = await self._prices.timeline(), self._clock.now()
        for number, record in enumerate(chain.from_iterable(found.values())):
            for document in documents(record.value or b"", record.headers):
                try:
                    polled.usages.append((record, rated(timeline, usage_events.read(document), now)))
                except MalformedEventError as error:
                    polled.malformed.append((record, document, error.detail))
            if number % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        return polled

    async def _apply(self, polled: Polled) -> None:
        for record, document, error in polled.malformed:
            await self._bury(record, document, error)
        await self._burn(polled.usages)

    async def _burn(self, usages: Sequence[tuple[ConsumerRecord, Rated]]) -> None:
        """Burn them all; if one of them spoils the batch, halve it until the culprit is alone."""
        if not usages:
            return
        try:
            await self._burn_patiently([found for _, found in usages])
        except RETRYABLE:
            raise
        except Exception as error:
            if len(usages) == 1:
                log.exception("usage.culprit", event_id=usages[0][1].event.id)
                await self._bury(usages[0][0], usages[0][1].event.payload, repr(error))
                return
            half = len(usages) // 2
            await self._burn(usages[:half])
            await self._burn(usages[half:])

    async def _burn_patiently(self, usages: Sequence[Rated]) -> None:
        for pause in _RETRY_SECONDS:
            try:
                await usage.burn(self._pool, self._ledger, usages)
            except RETRYABLE as error:
                log.warning("usage.retries", error=repr(error))
                await asyncio.sleep(pause)
            else:
                MESSAGES_HANDLED.labels(USAGE_CONSUMER, "handled").inc(len(usages))
                return
        await usage.burn(self._pool, self._ledger, usages)

    async def _bury(self, record: ConsumerRecord, document: bytes, error: str) -> None:
        async with self._pool.transaction() as conn:
            at = self._clock.now()
            letter = replace(Record.of(record), payload=document)
            await dead_letters.record_letter(conn, USAGE_CONSUMER, letter, error=error, attempts=1, at=at)
        MESSAGES_HANDLED.labels(USAGE_CONSUMER, "dead_letter").inc()


async def _seek_to_committed(consumer: AIOKafkaConsumer) -> None:
    """Go back to where the group is; aiokafka's own method leaves a partition that was never committed (0.14)."""
    for partition in consumer.assignment():
        if committed := await consumer.committed(partition):
            consumer.seek(partition, committed)
        else:
            await consumer.seek_to_beginning(partition)


class _UsageDrain(Drain):
    """Also counts generations: what was polled while partitions moved is polled again by whoever has them now.

    And has the offsets committed, before partitions go to another consumer, of what is done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0
        self.offsets: Offsets | None = None

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Begin a new generation, then wait for the batch in hand, and its offsets."""
        self.generation += 1
        await super().on_partitions_revoked(revoked)
        if self.offsets is not None:
            with suppress(KafkaError):  # then it is delivered again, and recognised
                await self.offsets.flush()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Begin another: a poll that ran while partitions moved belongs to neither side."""
        self.generation += 1
        await super().on_partitions_assigned(assigned)
