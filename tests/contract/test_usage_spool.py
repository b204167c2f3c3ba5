"""A reporter with a spool dies in the midst of it, again and again: each event that it was told is taken arrives."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from deploy.embedded.settings import PROJECT
from libs.chassis.broker.topics import ensure
from libs.contracts.client import SpoolInUseError, UsageClient
from libs.contracts.envelope import CloudEvent
from libs.contracts.ids import new_id
from libs.contracts.topics import ALL, USAGE_EVENTS
from tests.contract.test_usage_over_kafka import forwarding

LIVES = 12

REPORTS_UNTIL_KILLED = """
import asyncio, os, sys
from pathlib import Path
from libs.contracts.client import UsageClient
from libs.contracts.ids import new_id

async def report(client):
    while True:
        id = await client.usage(new_id(), "video", 1, {"resolution": "720p"})
        os.write(1, id.encode() + b"\\n")

async def main(servers, source, folder):
    async with UsageClient.kafka(servers, source=source, spool=Path(folder)) as client:
        await asyncio.gather(*(report(client) for _ in range(20)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def kafka(infrastructure: Infrastructure) -> str:
    """The broker, with our topics."""
    await ensure(infrastructure.kafka, ALL, replication=1)
    return infrastructure.kafka


@contextmanager
def reporting(servers: str, source: str, folder: Path, told: Path) -> Iterator[None]:
    """Have a process report, which writes down what it was told is taken, and kill it."""
    command = [sys.executable, "-c", REPORTS_UNTIL_KILLED, servers, source, str(folder)]
    with told.open("ab") as out, subprocess.Popen(command, cwd=PROJECT, stdout=out) as child:
        try:
            yield
            assert child.poll() is None
        finally:
            child.kill()


def size(file: Path) -> int:
    return file.stat().st_size


async def until_it_tells_more(told: Path) -> None:
    before = size(told)
    while size(told) == before:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.005)


async def ids_on_the_topic(servers: str, source: str) -> list[str]:
    """Read the topic from its beginning to its end."""
    consumer = AIOKafkaConsumer(USAGE_EVENTS.name, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found = list[str]()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                records = await consumer.getmany(partition, timeout_ms=1000)
                events = [CloudEvent.decode(record.value) for batch in records.values() for record in batch]
                found += [event.id for event in events if event.source == source]
    finally:
        await consumer.stop()
    return found


@asynccontextmanager
async def a_broker_somewhere(kafka: str, kind: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Give an address of a broker that is there, or never is, or comes when the event is set."""
    (port,) = free_ports(1)
    comes, address = asyncio.Event(), f"127.0.0.1:{port}"

    async def come() -> None:
        await comes.wait()
        async with forwarding(port, to=kafka) if kind == "comes" else nullcontext():
            await asyncio.Event().wait()

    coming = asyncio.create_task(come())
    yield (kafka if kind == "there" else address), comes
    coming.cancel()


async def test_each_event_that_was_taken_arrives_though_its_reporter_is_killed(kafka: str, tmp_path: Path) -> None:
    source, spool, told = f"/test/{new_id()}", tmp_path / "spool", tmp_path / "told"
    told.touch()
    chance = random.Random(12)
    for life in range(LIVES):
        async with a_broker_somewhere(kafka, ("away", "there", "comes")[life % 3]) as (servers, comes):
            with reporting(servers, source, spool, told):
                await until_it_tells_more(told)
                await asyncio.sleep(chance.uniform(0, 0.3))
                comes.set()
                await asyncio.sleep(chance.uniform(0, 0.5))
    arrived_before = set(await ids_on_the_topic(kafka, source))
    taken = told.read_text().split()
    assert arrived_before, "no life was long enough to send"
    assert set(taken) - arrived_before, "no life was short enough to leave something"
    async with UsageClient.kafka(kafka, source=source, spool=spool) as client:
        await client.flush()
    assert set(taken) - set(await ids_on_the_topic(kafka, source)) == set()


async def test_a_folder_that_another_process_has_is_refused(kafka: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.touch()
    with reporting(kafka, "/test", tmp_path / "spool", told):
        await until_it_tells_more(told)
        with pytest.raises(SpoolInUseError, match="give each process a folder of its own"):
            async with UsageClient.kafka(kafka, source="/test", spool=tmp_path / "spool"):
                pass


async def test_what_the_broker_had_accepted_is_published_again(kafka: str, tmp_path: Path) -> None:
    source, began = f"/test/{new_id()}", datetime.now(UTC)
    async with UsageClient.kafka(kafka, source=source, spool=tmp_path) as client:
        ids = await asyncio.gather(*(client.usage(new_id(), "video") for _ in range(1200)))
        await client.flush()
        again = await client.republish(began)
    arrived = await ids_on_the_topic(kafka, source)
    assert again == 1200
    assert sorted(arrived) == sorted([*ids, *ids])
