"""The floor under a webhook's way: three bare commits and two trips through Kafka, one message at a time, no service.

Insert and commit, produce, consume, insert and commit, produce, consume, insert and commit.
"""

import asyncio
import time

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from libs.chassis.broker import topics
from libs.contracts.topics import Topic

TOPICS = (Topic("bench.floor.one", "none", partitions=1), Topic("bench.floor.two", "none", partitions=1))


async def bare_chain_ms(database_url: str, kafka: str, *, trips: int, pause_seconds: float) -> list[float]:
    """Make the trip this often, a pause between; answers each trip's milliseconds."""
    await topics.ensure(kafka, TOPICS, replication=1)
    conn = await asyncpg.connect(database_url)
    await conn.execute("CREATE TABLE IF NOT EXISTS bench_floor (id bigint GENERATED ALWAYS AS IDENTITY, body bytea)")
    insert = await conn.prepare("INSERT INTO bench_floor (body) VALUES ($1)")
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=0)
    consumers = [AIOKafkaConsumer(t.name, bootstrap_servers=kafka, auto_offset_reset="latest") for t in TOPICS]
    await asyncio.gather(producer.start(), *(consumer.start() for consumer in consumers))
    try:
        for consumer in consumers:
            await consumer.seek_to_end()
            for partition in consumer.assignment():
                await consumer.position(partition)
        body = b"x" * 2000
        took = []
        for _ in range(trips):
            began = time.perf_counter()
            await insert.fetch(body)
            for topic, consumer in zip(TOPICS, consumers, strict=True):
                await producer.send_and_wait(topic.name, body)
                await consumer.getone()
                await insert.fetch(body)
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(pause_seconds)
        return took
    finally:
        await asyncio.gather(producer.stop(), *(consumer.stop() for consumer in consumers))
        await conn.execute("DROP TABLE bench_floor")
        await conn.close()
