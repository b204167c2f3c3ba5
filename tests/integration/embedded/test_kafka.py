from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.embedded.infrastructure import Infrastructure


@asynccontextmanager
async def producing(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        yield producer


@asynccontextmanager
async def administering(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def a_topic(servers: str, **config: str) -> str:
    topic = f"test-{uuid4().hex}"
    async with administering(servers) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
    return topic


async def send(servers: str, topic: str, *values: bytes) -> None:
    async with producing(servers) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def read(servers: str, topic: str, count: int) -> list[bytes]:
    """Read as a group whose members may be missed after 1.5 s, as tests of rebalances need it."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=f"{topic}-{uuid4().hex}",
        auto_offset_reset="earliest",
        session_timeout_ms=1_500,
        heartbeat_interval_ms=300,
    )
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_what_is_produced_is_consumed(local: Infrastructure) -> None:
    topic = await a_topic(local.kafka)
    await send(local.kafka, topic, b"one", b"two")
    assert await read(local.kafka, topic, 2) == [b"one", b"two"]


async def test_a_message_may_have_four_megabytes(local: Infrastructure) -> None:
    topic = await a_topic(local.kafka)
    async with AIOKafkaProducer(bootstrap_servers=local.kafka, max_request_size=5_000_000) as producer:
        await producer.send_and_wait(topic, b"x" * 4_000_000)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_the_broker_knows_every_codec(local: Infrastructure, codec: str) -> None:
    """It writes a topic in the codec that the topic asks for, with a library of its own for each."""
    topic = await a_topic(local.kafka, **{"compression.type": codec})
    await send(local.kafka, topic, b"compress me")


async def test_acknowledged_messages_survive_a_killed_broker(local: Infrastructure) -> None:
    topic, cluster = await a_topic(local.kafka), await local.broker.cluster_id()
    await send(local.kafka, topic, b"kept")
    local.broker.process.kill()
    await local.broker.start()
    assert await read(local.kafka, topic, 1) == [b"kept"]
    assert await local.broker.cluster_id() == cluster


async def test_a_wiped_broker_is_another_cluster_at_the_same_address(local: Infrastructure) -> None:
    topic, cluster, address = await a_topic(local.kafka), await local.broker.cluster_id(), local.kafka
    await local.broker.wipe()
    assert local.kafka == address
    assert await local.broker.cluster_id() != cluster
    async with administering(address) as admin:
        assert topic not in await admin.list_topics()
