"""What the client puts into Kafka is what credits reads: keyed by account, in order, or handed back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from libs.chassis.broker.topics import ensure
from libs.contracts.client import UsageClient, UsageNotAcceptedError
from libs.contracts.envelope import CONTENT_TYPE, CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.ids import new_id, show
from libs.contracts.topics import ALL, USAGE_EVENTS


@pytest.fixture
async def kafka(infrastructure: Infrastructure) -> str:
    """The broker, with our topics."""
    await ensure(infrastructure.kafka, ALL, replication=1)
    return infrastructure.kafka


async def read(servers: str, source: str, number: int) -> list[Any]:
    """Read the topic from its beginning until so many records of a source have come."""
    consumer = AIOKafkaConsumer(USAGE_EVENTS.name, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = list[Any]()
        while len(found) < number:
            batches: Mapping[Any, list[Any]] = await consumer.getmany(timeout_ms=1000)
            records = [record for batch in batches.values() for record in batch]
            found += [record for record in records if CloudEvent.decode(record.value).source == source]
        return found
    finally:
        await consumer.stop()


async def test_events_arrive_keyed_by_account_and_in_the_order_of_each(kafka: str) -> None:
    source, accounts = f"/test/{new_id()}", [new_id() for _ in range(5)]
    async with UsageClient.kafka(kafka, source=source) as client:
        for number in range(1000):
            await client.usage(accounts[number % 5], "video", number, {"hd": True}, id=str(number))
    records = await read(kafka, source, 1000)
    events = [CloudEvent.decode(record.value) for record in records]
    assert sorted(int(event.id) for event in events) == list(range(1000))
    assert {dict(record.headers)["content-type"] for record in records} == {CONTENT_TYPE.encode()}
    assert [record.key.decode() for record in records] == [event.subject for event in events]
    for account in accounts:
        mine = [UsageData.model_validate(e.data).quantity for e in events if e.subject == show("account", account)]
        assert mine == sorted(mine)


async def test_events_of_any_size_arrive_in_their_order(kafka: str) -> None:
    source, account = f"/test/{new_id()}", new_id()
    sizes = [10, 24_000, 10, 500, 24_000, 24_000] * 20
    async with UsageClient.kafka(kafka, source=source, max_batch_size=16_384) as client:
        for number, size in enumerate(sizes):
            texts = {f"p{part}": "x" * 500 for part in range(size // 500)}
            await client.usage(account, "video", number, texts, id=str(number))
    records = await read(kafka, source, len(sizes))
    assert [CloudEvent.decode(record.value).id for record in records] == [str(number) for number in range(len(sizes))]


async def test_a_broker_that_is_not_there_yet_gets_the_events_when_it_comes(kafka: str) -> None:
    source, (port,) = f"/test/{new_id()}", free_ports(1)
    async with UsageClient.kafka(f"127.0.0.1:{port}", source=source) as client:
        await client.usage(new_id(), "video", id="early")
        while client._trouble is None:  # noqa: ASYNC110 - the background task meets it
            await asyncio.sleep(0.01)
        async with forwarding(port, to=kafka):
            await client.flush()
    assert [CloudEvent.decode(record.value).id for record in await read(kafka, source, 1)] == ["early"]


async def test_what_no_broker_took_is_handed_back_with_the_reason() -> None:
    (nobody,) = free_ports(1)
    with pytest.raises(UsageNotAcceptedError, match=rf"Kafka at 127\.0\.0\.1:{nobody} did not take usage") as told:
        async with UsageClient.kafka(f"127.0.0.1:{nobody}", source="/test", patience_seconds=1) as client:
            await client.usage(new_id(), "video", id="1")
    assert [event.id for event in told.value.undelivered] == ["1"]


@asynccontextmanager
async def forwarding(port: int, *, to: str) -> AsyncIterator[None]:
    """Be where a client looks for a broker, which then tells it where it really is."""
    host, _, real = to.rpartition(":")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(real))
        await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", port):
        yield


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer):
        while some := await reader.read(65536):
            writer.write(some)
