"""What becomes of messages when the broker goes, comes back, or comes back empty. On a broker of the tests' own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.embedded.distribution import Distribution
from deploy.embedded.kafka import Kafka
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.settings import PROJECT, Settings
from libs.chassis import outbox
from libs.chassis.broker import driver, subscriptions, topics
from libs.chassis.broker.driver import AnotherClusterError
from libs.chassis.broker.producer import Message, Producer
from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.broker.topics import TopicWatch
from libs.chassis.outbox import Relay
from tests.integration.chassis.database import Database
from tests.integration.chassis.desk import Desk
from tests.integration.chassis.kafka import Feed, Gate, about, envelope, own_topic
from tests.integration.chassis.waiting import until, until_found

SESSION_MS = 1500


@pytest.fixture(scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    settings = Settings(data=tmp_path_factory.mktemp("broker"))
    port, controller_port = free_ports(2)
    distribution = Distribution(settings.cache.absolute(), repository=settings.maven_repository, say=lambda _: None)
    kafka = Kafka(settings.data, port=port, controller_port=controller_port, distribution=distribution)
    await kafka.start()
    yield kafka
    kafka.process.kill()


@pytest.fixture
async def broker(kafka: Kafka) -> Kafka:
    """The broker, running whatever the test before did to it."""
    if not kafka.process.running:
        await kafka.start()
    return kafka


@pytest.fixture
async def feed(broker: Kafka) -> AsyncIterator[Feed]:
    opened = await Feed.open(broker.url, own_topic())
    yield opened
    await opened.close()


@pytest.fixture
async def desk(database: Database, feed: Feed) -> AsyncIterator[Desk]:
    opened = Desk(database, feed, session_ms=SESSION_MS)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(outbox, "_LAST_WORDS_SECONDS", 0.1)
    monkeypatch.setattr(topics, "_LOOK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(subscriptions, "_RETRY_SECONDS", (0.01, 0.02, 0.05))


@asynccontextmanager
async def relaying(database: Database, feed: Feed) -> AsyncIterator[Relay]:
    producer = Producer(feed.servers, client_id="relay")
    relay = Relay(database.pool, producer, database_url=database.url)
    await relay.start()
    yield relay
    await relay.stop()
    await producer.stop()


@asynccontextmanager
async def watching(feed: Feed, consumers: Consumers | None = None) -> AsyncIterator[list[str]]:
    """Keep the feed's topics in being; yields what was told of new clusters."""
    told: list[str] = []

    async def note() -> None:
        told.append("another cluster")

    watch = TopicWatch(feed.servers, topics=[feed.topic, feed.topic.dead_letters], replication=1)
    watch.on_new_cluster(note)
    if consumers is not None:
        watch.on_new_cluster(consumers.begin_anew)
    await watch.start()
    await until(lambda: watch._cluster is not None)
    yield told
    await watch.stop()


async def tell(database: Database, feed: Feed, *numbers: int) -> None:
    async with database.pool.transaction() as conn:
        event = about(feed.topic)
        await outbox.append(conn, *(event(name="key", number=n) for n in numbers), at=database.now())


async def all_published(database: Database) -> None:
    async def none_waits() -> bool:
        return await database.unpublished() == 0

    await until_found(none_waits)


async def numbers_in(feed: Feed) -> list[int]:
    """Read a topic from its beginning; with a new reader, whatever became of the broker."""
    reader = await Feed.open(feed.servers, feed.topic)
    await reader.until_seen(1)
    while len(await reader.until_seen(len(reader.seen))) < await end_of(reader):
        await reader.until_seen(len(reader.seen) + 1)
    await reader.close()
    return reader.numbers("key")


async def end_of(reader: Feed) -> int:
    assert reader._reader is not None
    return sum((await reader._reader.end_offsets(reader._reader.assignment())).values())


async def test_rows_wait_while_the_broker_is_away_and_go_when_it_is_back(
    database: Database, broker: Kafka, feed: Feed
) -> None:
    async with relaying(database, feed):
        await tell(database, feed, 1)
        await all_published(database)
        broker.process.kill()
        await tell(database, feed, 2, 3)
        await tell(database, feed, 4)
        assert await database.unpublished() == 2
        await broker.start()
        await all_published(database)
    assert list(dict.fromkeys(await numbers_in(feed))) == [1, 2, 3, 4]


async def test_rows_wait_while_the_broker_hangs(database: Database, broker: Kafka, feed: Feed) -> None:
    async with relaying(database, feed):
        await tell(database, feed, 1)
        await all_published(database)
        broker.process.pause()
        await tell(database, feed, 2)
        assert await database.unpublished() == 1
        broker.process.resume()
        await all_published(database)
    assert list(dict.fromkeys(await numbers_in(feed))) == [1, 2]


async def test_a_relay_can_be_stopped_while_the_broker_hangs_and_the_next_one_publishes(
    database: Database, broker: Kafka, feed: Feed
) -> None:
    before = asyncio.all_tasks()
    async with relaying(database, feed):
        await tell(database, feed, 1)
        await all_published(database)
        broker.process.pause()
        await tell(database, feed, 2)
    assert asyncio.all_tasks() <= before
    broker.process.resume()
    async with relaying(database, feed):
        await all_published(database)
    assert list(dict.fromkeys(await numbers_in(feed))) == [1, 2]


async def test_a_producer_gives_up_in_time_and_begins_anew(
    broker: Kafka, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [(feed.topic.name, Message("key", envelope("key", number).encode())) for number in range(3)]
    await feed.producer.publish(messages[:1])
    broker.process.pause()
    with monkeypatch.context() as patient:
        patient.setattr("libs.chassis.broker.producer._PATIENCE_SECONDS", 0.2)
        with pytest.raises(TimeoutError):
            await feed.producer.publish(messages[1:])
    broker.process.kill()
    with pytest.raises(KafkaError):
        await feed.producer.publish(messages[1:])
    await broker.start()
    await feed.producer.publish(messages[1:])
    assert list(dict.fromkeys(await numbers_in(feed))) == [0, 1, 2]


async def test_a_broker_that_lost_everything_gets_its_topics_again_and_is_told_everything_again(
    database: Database, broker: Kafka, feed: Feed
) -> None:
    start = database.now()
    async with watching(feed) as told, relaying(database, feed):
        await tell(database, feed, 1, 2)
        await tell(database, feed, 3)
        await all_published(database)
        await broker.wipe()
        await until(lambda: bool(told))
        await tell(database, feed, 4)
        await all_published(database)
        assert list(dict.fromkeys(await numbers_in(feed))) == [4]
        async with database.pool.transaction() as conn:
            await outbox.republish(conn, since=start - timedelta(seconds=1))
        await all_published(database)
    assert (await numbers_in(feed))[-4:] == [1, 2, 3, 4]


async def test_who_could_not_be_told_of_a_new_cluster_is_told_again(broker: Kafka, feed: Feed) -> None:
    tries: list[str] = []

    async def fail_at_first() -> None:
        tries.append("told")
        if len(tries) == 1:
            raise RuntimeError("not now")

    watch = TopicWatch(feed.servers, topics=[feed.topic], replication=1)
    watch.on_new_cluster(fail_at_first)
    watch._cluster = "the one before"
    await watch.start()
    await until(lambda: watch._cluster == "the one before" and len(tries) == 1)
    await until(lambda: watch._cluster != "the one before")
    await watch.stop()
    assert len(tries) == 2


async def test_a_topic_that_the_broker_refuses_to_make_is_an_error(broker: Kafka) -> None:
    with pytest.raises(KafkaError, match="InvalidReplicationFactor"):
        await topics.ensure(broker.url, [own_topic()], replication=3)


async def test_two_that_make_the_same_topics_at_once_both_succeed(broker: Kafka) -> None:
    many = [own_topic() for _ in range(10)]
    one, other = await asyncio.gather(*(topics.ensure(broker.url, many, replication=1) for _ in range(2)))
    assert one == other == await broker.cluster_id()


async def test_a_broker_that_dies_while_a_batch_is_in_hand_costs_and_doubles_nothing(broker: Kafka, desk: Desk) -> None:
    gate = Gate()
    desk.before[1] = gate.passed
    await desk.feed.send(envelope("key", 1), envelope("key", 2))
    async with desk.consuming():
        await gate.reached.wait()
        broker.process.kill()
        desk.before.clear()
        gate.opened.set()
        await desk.until_effects(2)
        await broker.start()
        await desk.feed.send(envelope("key", 3))
        await desk.until_effects(3)
    assert await desk.database.effects() == [1, 2, 3]


async def test_on_a_broker_that_lost_everything_a_consumer_begins_at_the_earliest_record(
    broker: Kafka, desk: Desk
) -> None:
    """Also when its log is longer by then than the old one was where the consumer stood."""
    consumers = desk.consumers()
    async with watching(desk.feed, consumers):
        await consumers.start()
        await desk.feed.send(*(envelope("key", number) for number in range(5)))
        await desk.until_committed(5)
        await broker.wipe()
        await until_found(lambda: published_again(desk.feed, range(100, 130)))
        await desk.until_effects(35)
        await consumers.stop()
    assert await desk.database.effects() == [*range(5), *range(100, 130)]


async def test_a_consumer_neither_reads_nor_commits_on_another_cluster(broker: Kafka) -> None:
    """Else it would go on in the middle of a log that it does not know, and its group begin there for ever."""
    driver.apply()
    feed = await Feed.open(broker.url, own_topic(partitions=1))
    partition = TopicPartition(feed.topic.name, 0)
    async with member(feed) as consumer:
        await feed.send(*(envelope("key", number) for number in range(5)))
        assert [len(records) for records in (await consumer.getmany(timeout_ms=10_000)).values()] == [5]
        await broker.wipe()
        await topics.ensure(broker.url, [feed.topic], replication=1)
        await until_found(lambda: published_again(feed, range(30)))
        assert [await polled(consumer) for _ in range(20)] == [{}] * 20  # it is disowned meanwhile
        with pytest.raises(AnotherClusterError):
            await consumer.commit({partition: 5})
    async with member(feed) as another:
        assert await another.committed(partition) is None
    await feed.close()


async def polled(consumer: AIOKafkaConsumer) -> object:
    with suppress(AnotherClusterError):
        return await consumer.getmany(timeout_ms=100)
    return {}


@asynccontextmanager
async def member(feed: Feed) -> AsyncIterator[AIOKafkaConsumer]:
    """Consume a topic by hand, as one of a group."""
    async with AIOKafkaConsumer(
        feed.topic.name,
        bootstrap_servers=feed.servers,
        group_id=f"group-{feed.topic.name}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=1000,
        heartbeat_interval_ms=100,
    ) as consumer:
        yield consumer


async def published_again(feed: Feed, numbers: range) -> bool:
    try:
        await feed.send(*(envelope("key", number) for number in numbers))
    except (KafkaError, TimeoutError):
        return False
    return True


async def test_consumers_start_before_the_broker_and_may_stop_before_it_comes(broker: Kafka, desk: Desk) -> None:
    await desk.feed.send(envelope("key", 1))
    broker.process.kill()
    impatient, patient = desk.consumers(), desk.consumers()
    await impatient.start()
    await patient.start()
    await impatient.stop()
    assert not patient.ready()
    await broker.start()
    await desk.until_effects(1)
    await patient.stop()


async def test_a_consumer_can_start_before_its_topic(
    database: Database, broker: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed(broker.url, own_topic(), Producer(broker.url, client_id="test"))
    desk = Desk(database, feed, session_ms=SESSION_MS)
    consumers = desk.consumers()
    await consumers.start()
    await until(lambda: f"{feed.topic.name} not found" in caplog.text)
    assert not consumers.ready()
    await topics.ensure(broker.url, [feed.topic], replication=1)
    await feed.send(envelope("key", 1))
    await desk.until_effects(1)
    await consumers.stop()
    await feed.close()


async def test_a_worker_that_hung_past_its_session_and_wakes_doubles_nothing(
    broker: Kafka, desk: Desk, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    arguments = [desk.database.url, broker.url, desk.feed.topic.name]
    command = [sys.executable, "-m", "tests.integration.chassis.worker", *arguments, str(SESSION_MS), str(gate)]
    zombie = Process("zombie", command, home=tmp_path, ready=lambda: said("up"), cwd=PROJECT)

    async def said(word: str) -> bool:
        return word in zombie.last_lines().split()

    await zombie.start()
    await desk.feed.send(*(envelope(key, number) for number in range(10) for key in "abc"))
    await until_found(lambda: said("here"))
    zombie.pause()
    async with desk.consuming():
        await desk.until_effects(30)
        await desk.until_committed(30)
        gate.touch()
        zombie.resume()
        await until_found(lambda: said("done"))
        await desk.feed.send(*(envelope(key, 10) for key in "abc"))
        await desk.until_effects(33)
        await desk.until_committed(33)
    zombie.kill()
    assert [await desk.database.effects(key) for key in "abc"] == [list(range(11))] * 3
