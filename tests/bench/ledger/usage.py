"""Usage end to end: a prefilled topic is read, rated, burnt, journalled and announced by real workers."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, islice
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from deploy.cli.customer import wait_for
from libs.contracts import ids
from libs.contracts.topics import USAGE_EVENTS
from services.credits.consumers import USAGE_CONSUMER
from tests.bench.ledger.cell import METER, Cell

Used = tuple[str, dict[str, Any]]
"""A meter, and an event's data."""
GROUP = f"scrip-{USAGE_CONSUMER}"


@dataclass(frozen=True, slots=True)
class Burnt:
    """How long some workers took for how much."""

    events: int
    seconds: float
    cpu_seconds: float
    """Of the workers' processes, from their first commit on."""
    grown_mb: float
    """By how much a worker's memory grew meanwhile."""

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of a worker's processor for each event."""
        return self.cpu_seconds / self.events * 1e6


def uniform(accounts: Sequence[UUID], events: int) -> list[UUID]:
    """Draw an account for each event, all alike."""
    return random.choices(accounts, k=events)


def zipf(accounts: Sequence[UUID], events: int) -> list[UUID]:
    """Draw an account for each event, the first ones most often."""
    return random.choices(accounts, weights=[1 / rank for rank in range(1, len(accounts) + 1)], k=events)


_STEADY = (
    b'{"specversion":"1.0","id":"%d","source":"/bench","type":"' + METER.encode() + b'",'
    b'"subject":"%s","time":"%s","datacontenttype":"application/json",'
    b'"data":{"quantity":1,"properties":{"tier":"standard","produced":"%s"}}}'
)
_NUMBERS = count()
_PARTITIONS_A_TICK = 3
_TICK_SECONDS = 0.01
_WRITTEN_PER_SECOND = 50_000
"""Events, by a slow machine."""


def simple() -> Used:
    """Use a unit of the simple meter."""
    return METER, {"quantity": 1, "properties": {"tier": "standard"}}


def video() -> Used:
    """Use some minutes of the video catalogue's meter, with this and that on top."""
    extras = {name: True for name in ("custom_music", "premium_tts", "ai_enhancement") if random.random() < 0.3}
    properties = {"resolution": random.choice(("720p", "1080p")), **extras}
    return "video.generation", {"quantity": random.randint(1, 100) / 10, "properties": properties}


async def prefill(cell: Cell, chosen: Sequence[UUID], used: Callable[[], Used]) -> None:
    """Write the events into the topic, each in its account's partition."""
    producer = AIOKafkaProducer(bootstrap_servers=cell.servers.kafka, max_batch_size=900_000, acks="all")
    await producer.start()
    partitions = sorted(await producer.partitions_for(USAGE_EVENTS.name))
    where = DefaultPartitioner()
    rows: dict[int, list[tuple[bytes, bytes]]] = {partition: [] for partition in partitions}
    for account in chosen:
        key = ids.show("account", account).encode()
        rows[where(key, partitions, partitions)].append((key, _event(key.decode(), *used())))
    for partition, found in rows.items():
        await _write(producer, partition, found)
    await producer.stop()


def _event(subject: str, meter: str, data: dict[str, Any]) -> bytes:
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/bench",
        "type": meter,
        "subject": subject,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, separators=(",", ":")).encode()


async def _write(producer: AIOKafkaProducer, partition: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
    batch = producer.create_batch()
    for key, value in rows:
        if batch.append(key=key, value=value, timestamp=None) is None:
            await (await producer.send_batch(batch, USAGE_EVENTS.name, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    await (await producer.send_batch(batch, USAGE_EVENTS.name, partition=partition))


async def burn(cell: Cell, chosen: Sequence[UUID], *, workers: int = 1, used: Callable[[], Used] = simple) -> Burnt:
    """Prefill, start workers, and time them from their first commit to the last offset and announcement."""
    await prefill(cell, chosen, used)
    processes = [cell.worker(f"worker-{number}") for number in range(workers)]
    conn = await asyncpg.connect(cell.database.owner_url)
    before = await conn.fetchval("SELECT max(id) FROM batch")
    for process in processes:
        await process.start()
    began, first = await _first_batch(conn, before)
    cpu_seconds = -sum(_cpu_seconds(process.pid) for process in processes)
    grown = -max(_rss_mb(process.pid) for process in processes)
    await _until_empty(cell, conn, before, len(chosen))
    seconds = time.monotonic() - began
    cpu_seconds += sum(_cpu_seconds(process.pid) for process in processes)
    grown += max(_rss_mb(process.pid) for process in processes)
    await _until_summed(conn)
    for process in processes:
        await process.stop()
    await conn.close()
    return Burnt(len(chosen) - first, seconds, cpu_seconds, grown)


async def lag_ms(cell: Cell, *, per_second: int, seconds: int) -> list[float]:
    """Produce at a steady rate with a worker at work; answers each event's milliseconds from there to its commit.

    An event carries the instant at which it was produced; its batch's commit is read from the database.
    """
    worker = cell.worker("worker-0")
    await worker.start()
    conn = await asyncpg.connect(cell.database.owner_url)
    before = await conn.fetchval("SELECT max(id) FROM batch")
    produced = await _produce_steadily(cell, per_second=per_second, seconds=seconds)
    await _until_empty(cell, conn, before, produced)
    await _until_summed(conn)
    rows = await conn.fetch(
        """SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(e.xmin)
                                 - (e.details #>> '{properties,produced}')::timestamptz) AS ms
             FROM entry AS e
            WHERE e.batch_id > $1 AND e.leg = 0 AND e.details #>> '{properties,produced}' IS NOT NULL
            ORDER BY (e.details #>> '{properties,produced}')::timestamptz""",
        before,
    )
    await worker.stop()
    await conn.close()
    settled = rows[len(rows) // 3 :]  # the first third warms the servers up
    return [float(row["ms"]) for row in settled]


async def _produce_steadily(cell: Cell, *, per_second: int, seconds: int) -> int:
    """Produce so many a second, in steps, each into a few partitions in turn; answers how many it has produced.

    All is written before the first step, each event with the instant at which it is due, so that producing takes little
    of the machine, and what is sent late counts as late.
    """
    producer = AIOKafkaProducer(bootstrap_servers=cell.servers.kafka, linger_ms=0, max_batch_size=900_000)
    await producer.start()
    turn = cycle((await _keys_by_partition(producer, cell.accounts)).items())
    steps, a_batch = int(seconds / _TICK_SECONDS), int(per_second * _TICK_SECONDS) // _PARTITIONS_A_TICK
    begins = datetime.now(UTC) + timedelta(seconds=1 + per_second * seconds / _WRITTEN_PER_SECOND)
    due = [begins + timedelta(seconds=number * _TICK_SECONDS) for number in range(steps)]
    written = [_batches(producer, islice(turn, _PARTITIONS_A_TICK), a_batch, at.isoformat()) for at in due]
    if datetime.now(UTC) > begins:
        raise RuntimeError("the events took longer to write than was foreseen")
    for at, batches in zip(due, written, strict=True):
        await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
        for partition, batch in batches:
            await producer.send_batch(batch, USAGE_EVENTS.name, partition=partition)
    await producer.stop()
    return steps * _PARTITIONS_A_TICK * a_batch


def _batches(
    producer: AIOKafkaProducer, turn: Iterable[tuple[int, list[bytes]]], size: int, at: str
) -> list[tuple[int, BatchBuilder]]:
    """Write a batch of so many events for each partition whose turn it is."""
    written = []
    for partition, keys in turn:
        batch = producer.create_batch()
        for key in random.choices(keys, k=size):
            batch.append(key=key, value=_STEADY % (next(_NUMBERS), key, at.encode(), at.encode()), timestamp=None)
        batch.close()
        written.append((partition, batch))
    return written


async def _keys_by_partition(producer: AIOKafkaProducer, accounts: Sequence[UUID]) -> dict[int, list[bytes]]:
    partitions = sorted(await producer.partitions_for(USAGE_EVENTS.name))
    keys: dict[int, list[bytes]] = {partition: [] for partition in partitions}
    where = DefaultPartitioner()
    for account in accounts:
        key = ids.show("account", account).encode()
        keys[where(key, partitions, partitions)].append(key)
    return keys


def _rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def _first_batch(conn: "asyncpg.Connection[asyncpg.Record]", before: int) -> tuple[float, int]:
    entries = 0
    while not entries:
        entries = await conn.fetchval("SELECT coalesce(sum(entries), 0)::int FROM batch WHERE id > $1", before)
    return time.monotonic(), entries


async def _until_empty(cell: Cell, conn: "asyncpg.Connection[asyncpg.Record]", before: int, events: int) -> None:
    """Wait until all are applied, announced and told, and the group has committed the topic's end."""

    async def applied() -> bool:
        done = await conn.fetchval("SELECT coalesce(sum(entries), 0) FROM batch WHERE id > $1", before)
        return bool(done >= events)

    async def told() -> bool:
        return not await conn.fetchval(
            """SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)
                   OR EXISTS (SELECT FROM balance_change)"""
        )

    await wait_for(applied, seconds=600)
    await wait_for(told, seconds=60)
    await _until_committed(cell)


async def _until_summed(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until the journal is sealed and summed, which goes on behind a run, lest the next one share the machine."""

    async def summed() -> bool:
        behind = "SELECT (SELECT last_batch FROM usage_summed) < (SELECT max(id) FROM batch)"
        return not await conn.fetchval(behind)

    await wait_for(summed, seconds=600)


async def _until_committed(cell: Cell) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=cell.servers.kafka, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(USAGE_EVENTS.name, n) for n in range(USAGE_EVENTS.partitions)]
        ends = await consumer.end_offsets(partitions)

        async def committed() -> bool:
            return all([(await consumer.committed(p) or 0) >= ends[p] for p in partitions])

        await wait_for(committed, seconds=60)
    finally:
        await consumer.stop()
