"""The usage consumer against a real broker: workers join, leave and die in the middle of a stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.cli.customer import wait_for
from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.broker import topics
from libs.contracts import ids
from libs.contracts.envelope import CloudEvent
from libs.contracts.topics import USAGE_EVENTS
from services.credits.consumers import UsageConsumer
from tests.support.ledger import Credits, used

Worker = Callable[[], UsageConsumer]


@pytest.fixture
async def worker(credits: Credits, infrastructure: Infrastructure) -> AsyncIterator[Worker]:
    """Makes usage consumers of one group, on an empty topic; all are stopped in the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=infrastructure.kafka)
    await admin.start()
    await admin.delete_topics([name for name in await admin.list_topics() if name == USAGE_EVENTS.name])
    await wait_for(lambda: _gone(admin))
    await admin.close()
    await topics.ensure(infrastructure.kafka, [USAGE_EVENTS], replication=1)
    await credits.timeline()
    made: list[UsageConsumer] = []

    def make() -> UsageConsumer:
        made.append(
            UsageConsumer(
                infrastructure.kafka,
                pool=credits.pool,
                ledger=credits.ledger,
                prices=credits.prices,
                clock=credits.clock,
                batch=20,
                session_ms=3000,
            )
        )
        return made[-1]

    yield make
    await asyncio.gather(*(consumer.stop() for consumer in made))


async def _gone(admin: AIOKafkaAdminClient) -> bool:
    return USAGE_EVENTS.name not in await admin.list_topics()


@asynccontextmanager
async def producing(infrastructure: Infrastructure) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=infrastructure.kafka, acks="all")
    await producer.start()
    yield producer
    await producer.stop()


async def send(producer: AIOKafkaProducer, events: Sequence[CloudEvent]) -> None:
    for event in events:
        await producer.send(USAGE_EVENTS.name, event.encode(), key=(event.subject or "").encode())
    await producer.flush()


async def spent(credits: Credits, accounts: Sequence[UUID]) -> int:
    return sum([(await credits.balance(account)).totals.spent for account in accounts]) // 1_000_000


async def test_workers_that_join_and_leave_in_the_middle_of_a_stream_charge_every_event_once(
    credits: Credits, worker: Worker, infrastructure: Infrastructure
) -> None:
    accounts = [await credits.open_with("1000") for _ in range(12)]
    first, second = worker(), worker()
    async with producing(infrastructure) as producer:
        await first.start()
        for step in range(6):
            await send(producer, [used(account) for account in accounts for _ in range(10)])
            if step == 1:
                await second.start()
            if step == 3:
                await first.stop()
            if step == 4:
                await first.start()
    assert await wait_for(lambda: _all(credits, accounts, 720), seconds=60)
    assert await spent(credits, accounts) == 720


async def _all(credits: Credits, accounts: Sequence[UUID], events: int) -> bool:
    return await spent(credits, accounts) >= events


async def test_events_come_structured_binary_and_in_batches_and_one_bad_event_of_a_batch_is_alone(
    credits: Credits, worker: Worker, infrastructure: Infrastructure
) -> None:
    account = await credits.open()
    key, twice = ids.show("account", account).encode(), used(account)
    told = json.loads(twice.encode())
    headers = [(f"ce_{name}", str(value).encode()) for name, value in told.items() if name != "data"]
    batch = [json.loads(used(account).encode()), {"id": "bad"}, json.loads(used(account).encode())]
    await worker().start()
    async with producing(infrastructure) as producer:
        await producer.send_and_wait(USAGE_EVENTS.name, json.dumps(told["data"]).encode(), key=key, headers=headers)
        await producer.send_and_wait(USAGE_EVENTS.name, twice.encode(), key=key)
        await producer.send_and_wait(USAGE_EVENTS.name, json.dumps(batch).encode(), key=key)
        await send(producer, [used(account)])
    assert await wait_for(lambda: _all(credits, [account], 4))
    assert await spent(credits, [account]) == 4
    async with credits.pool.connection() as conn:
        [letter] = await conn.fetch("SELECT payload FROM dead_letter")
    assert json.loads(letter["payload"]) == {"id": "bad"}


async def test_a_record_that_is_no_event_becomes_a_dead_letter_and_the_rest_is_charged(
    credits: Credits, worker: Worker, infrastructure: Infrastructure
) -> None:
    account = await credits.open()
    key = ids.show("account", account).encode()
    await worker().start()
    async with producing(infrastructure) as producer:
        for payload in (b"{", b"x" * 300_000, used(account).encode(), b'{"specversion":"1.0","subject":"acc_1"}'):
            await producer.send_and_wait(USAGE_EVENTS.name, payload, key=key)
        await send(producer, [used(account)])
    assert await wait_for(lambda: _all(credits, [account], 2))
    async with credits.pool.connection() as conn:
        reasons = [row["error"] for row in await conn.fetch("SELECT error FROM dead_letter ORDER BY id")]
        told = await conn.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", USAGE_EVENTS.dead_letters.name)
    assert len(reasons) == 3
    assert all(reason.startswith("not a usage event") for reason in reasons)
    assert told == 3
