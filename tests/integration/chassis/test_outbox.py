import asyncio
from asyncio import gather
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from libs.chassis import outbox
from libs.chassis.broker.producer import Message, Producer
from libs.chassis.outbox import LARGEST_MESSAGE_BYTES, MessageTooLargeError, Relay
from libs.chassis.pool import Connection, open_pool
from tests.integration.chassis.database import Database
from tests.integration.chassis.kafka import Feed, Gate, about, envelope
from tests.integration.chassis.waiting import until, until_found


@dataclass
class Office:
    """Tells numbers through the outbox of a database."""

    database: Database
    feed: Feed

    async def append(self, conn: Connection, key: str, *numbers: int) -> None:
        event = about(self.feed.topic)
        told = (event(name=key, number=number) for number in numbers)
        await outbox.append(conn, *told, at=self.database.now())

    async def tell(self, key: str, *numbers: int) -> None:
        async with self.database.pool.transaction() as conn:
            await self.append(conn, key, *numbers)

    async def all_published(self) -> None:
        async def none_waits() -> bool:
            return await self.database.unpublished() == 0

        await until_found(none_waits)

    @asynccontextmanager
    async def relay(self, producer: Producer | None = None) -> AsyncIterator[Relay]:
        own = Producer(self.feed.servers, client_id="relay")
        relay = Relay(self.database.pool, producer or own, database_url=self.database.url)
        await relay.start()
        try:
            yield relay
        finally:
            await relay.stop()
            await own.stop()


@pytest.fixture(autouse=True)
def polling(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how often relays look by themselves; often, so that taking over is soon done."""

    def every(seconds: float) -> None:
        monkeypatch.setattr(outbox, "_POLL_SECONDS", seconds)

    every(0.1)
    return every


@pytest.fixture
async def office(database: Database, feed: Feed) -> Office:
    return Office(database, feed)


class Disturbed(Producer):
    """A producer with whom something happens once the broker has the messages, and before anybody knows."""

    def __init__(self, servers: str, *disturbances: object) -> None:
        super().__init__(servers, client_id="disturbed")
        self.disturbances = iter(disturbances)
        self.calls = 0

    async def publish(self, messages: Iterable[tuple[str, Message]]) -> None:
        await super().publish(messages)
        self.calls += 1
        if disturbance := next(self.disturbances, None):
            await disturbance()  # type: ignore[operator]


async def test_what_a_transaction_told_is_published_in_the_order_of_each_key(office: Office) -> None:
    async with office.relay():
        for number in range(0, 60, 3):
            await gather(*(office.tell(key, number, number + 1, number + 2) for key in "abcd"))
        await office.feed.until_seen(240)
    assert [office.feed.numbers(key) for key in "abcd"] == [list(range(60))] * 4


async def test_more_rows_than_one_pass_takes_are_published_in_order(office: Office) -> None:
    async with office.database.pool.transaction() as conn:
        for number in range(450):
            await office.append(conn, "key", number)
    async with office.relay():
        await office.feed.until_seen(450)
    assert office.feed.numbers("key") == list(range(450))


async def test_what_was_rolled_back_is_never_published(office: Office) -> None:
    async with office.relay():
        with pytest.raises(asyncpg.DivisionByZeroError):
            await told_in_vain(office)
        await office.tell("key", 2)
        await office.feed.until_seen(1)
        await office.all_published()
    assert office.feed.numbers("key") == [2]


async def told_in_vain(office: Office) -> None:
    async with office.database.pool.transaction() as conn:
        await office.append(conn, "key", 1)
        await conn.execute("SELECT 1 / 0")


async def test_of_two_relays_one_publishes_and_the_other_takes_over_when_it_stops(office: Office) -> None:
    async with office.relay() as second_to_be, office.relay() as first_to_be:
        await until(lambda: first_to_be.active or second_to_be.active)
        first, second = (first_to_be, second_to_be) if first_to_be.active else (second_to_be, first_to_be)
        await office.tell("key", 1)
        await office.feed.until_seen(1)
        assert not second.active
        await first.stop()
        await until(lambda: second.active)
        await office.tell("key", 2)
        await office.feed.until_seen(2)
    assert office.feed.numbers("key") == [1, 2]


async def test_a_relay_whose_connection_is_cut_is_replaced_and_nothing_is_lost(office: Office) -> None:
    async def cut() -> bool:
        return await office.database.cut("scrip-outbox-relay") > 0

    async with office.relay(), office.relay():
        for number in range(5):
            await until_found(cut)
            await office.tell("key", number)
            await office.feed.until_told("key", number)
        await office.all_published()
    assert list(dict.fromkeys(office.feed.numbers("key"))) == list(range(5))


async def test_a_transaction_that_began_first_and_commits_last_is_not_skipped(office: Office) -> None:
    async with office.relay():
        async with office.database.pool.transaction() as slow:
            await office.append(slow, "slow", 1)  # the lowest id
            for number in range(5):
                await office.tell("quick", number)
            await office.feed.until_seen(5)
            await office.all_published()
        await office.feed.until_seen(6)
    assert office.feed.numbers("slow") == [1]


async def test_what_the_broker_has_but_is_not_marked_is_published_again(office: Office) -> None:
    async def cut() -> None:
        await office.database.cut("scrip-outbox-relay")

    producer = Disturbed(office.feed.servers, cut)
    async with office.relay(producer):
        await office.tell("key", 1, 2)
        await office.feed.until_seen(4)
        await office.all_published()
    await producer.stop()
    assert office.feed.numbers("key") == [1, 2, 1, 2]


async def test_stopping_marks_what_is_in_flight(office: Office) -> None:
    gate = Gate()
    producer = Disturbed(office.feed.servers, gate.passed)
    async with office.relay(producer) as relay:
        await office.tell("key", 1)
        await gate.reached.wait()
        stopping = asyncio.create_task(relay.stop())
        await asyncio.sleep(0)
        assert await office.database.unpublished() == 1
        gate.opened.set()
        await stopping
    await producer.stop()
    assert await office.database.unpublished() == 0


async def test_a_relay_survives_what_nobody_thought_of(office: Office) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug in a library")

    producer = Disturbed(office.feed.servers, fail)
    async with office.relay(producer):
        await office.tell("key", 1)
        await office.all_published()
    await producer.stop()
    assert (producer.calls, (await office.feed.until_seen(2))[-1].key) == (2, "key")


async def test_a_message_that_no_broker_would_take_fails_where_it_is_told(office: Office) -> None:
    """In the outbox it would hold up all that follow, for ever."""
    large = Message("key", b"x" * (LARGEST_MESSAGE_BYTES + 1))
    async with office.database.pool.transaction() as conn:
        with pytest.raises(MessageTooLargeError):
            await outbox.append_messages(conn, office.feed.topic.name, [large], at=office.database.now())
    largest = Message("key", envelope("key", 1, filler="x" * (LARGEST_MESSAGE_BYTES - 1000)).encode())
    async with office.database.pool.transaction() as conn:
        await outbox.append_messages(conn, office.feed.topic.name, [largest], at=office.database.now())
    async with office.relay():
        await office.feed.until_seen(1)


async def test_headers_travel_with_each_message(office: Office) -> None:
    messages = [Message("key", envelope("key", number).encode()) for number in range(2)]
    async with office.database.pool.transaction() as conn:
        await outbox.append_messages(
            conn, office.feed.topic.name, messages, at=office.database.now(), headers={"why": "größer"}
        )
    async with office.relay():
        seen = await office.feed.until_seen(2)
    assert [record.headers for record in seen] == [
        {"content-type": "application/cloudevents+json", "why": "größer"}
    ] * 2


async def test_everything_since_an_instant_is_told_again_in_order_and_older_things_are_not(office: Office) -> None:
    start = office.database.now()
    event = about(office.feed.topic)
    for minute in range(4):
        async with office.database.pool.transaction() as conn:
            await outbox.append(conn, event(name="key", number=minute), at=start + timedelta(minutes=minute))
    async with office.relay():
        await office.feed.until_seen(4)
        await office.all_published()
        async with office.database.pool.transaction() as conn:
            assert await outbox.republish(conn, since=start + timedelta(minutes=2)) == 2
        await office.feed.until_seen(6)
        await office.all_published()
    assert office.feed.numbers("key") == [0, 1, 2, 3, 2, 3]


async def test_what_is_asked_for_again_while_it_is_on_its_way_is_told_again(office: Office) -> None:
    """The broker may have lost it after it acknowledged it, and before that was noted."""

    async def ask_again() -> None:
        async with office.database.pool.transaction() as conn:
            await outbox.republish(conn, since=office.database.now() - timedelta(minutes=1))

    producer = Disturbed(office.feed.servers, ask_again)
    async with office.relay(producer):
        await office.tell("key", 1)
        await office.feed.until_seen(2)
        await office.all_published()
    await producer.stop()
    assert producer.calls == 2


async def test_pruning_drops_what_was_published_and_is_old_and_nothing_else(office: Office) -> None:
    now = office.database.now()
    event = about(office.feed.topic)
    async with office.database.pool.transaction() as conn:
        await outbox.append(conn, event(name="old", number=1), at=now - timedelta(days=8))
        await outbox.append(conn, event(name="new", number=1), at=now - timedelta(days=6))
        assert await outbox.prune(conn, now=now) == 0
    async with office.relay():
        await office.feed.until_seen(2)
        await office.all_published()
    async with office.database.pool.transaction() as conn:
        assert await outbox.prune(conn, now=now) == 1
    assert await office.database.value("SELECT array_agg(keys) FROM outbox") == [["new"]]


async def test_a_commit_in_its_own_process_wakes_the_relay(office: Office, polling: Callable[[float], None]) -> None:
    async with office.relay() as relay:
        await until(lambda: relay.active)
        polling(3600)
        await office.tell("key", 0)  # cuts the pause that began before
        for number in range(1, 20):
            await office.tell("key", number)
            await office.feed.until_seen(number + 1)


@asynccontextmanager
async def another_process(office: Office) -> AsyncIterator[Relay]:
    """A standing-by relay on a pool of its own."""
    pool = await open_pool(office.database.url, size=2, name="test")
    producer = Producer(office.feed.servers, client_id="other")
    relay = Relay(pool, producer, database_url=office.database.url)
    await relay.start()
    yield relay
    await relay.stop()
    await pool.close()


async def test_a_commit_in_another_process_wakes_the_relay(office: Office, polling: Callable[[float], None]) -> None:
    async with office.relay() as relay:
        await until(lambda: relay.active)
        polling(3600)
        async with another_process(office) as other:
            for number in range(20):
                async with other._pool.transaction() as conn:
                    await office.append(conn, "key", number)
                await office.feed.until_seen(number + 1)
            assert not other.active


async def test_a_commit_while_the_last_one_is_being_told_wakes_the_relay_too(
    office: Office, polling: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office.relay() as relay:
        await until(lambda: relay.active)
        polling(3600)
        async with another_process(office) as other:
            gate = Gate()
            lend = other._pool.connection

            @asynccontextmanager
            async def slowly() -> AsyncIterator[Connection]:
                async with lend() as conn:
                    yield conn
                await gate.passed()

            monkeypatch.setattr(other._pool, "connection", slowly)
            other.wake()
            await gate.reached.wait()  # the first NOTIFY is out
            await append_unannounced(office)
            other.wake()
            gate.opened.set()
            await office.feed.until_seen(1)


async def test_what_nobody_announced_is_found_by_looking(office: Office, polling: Callable[[float], None]) -> None:
    polling(0.02)
    async with office.relay() as relay:
        await until(lambda: relay.active)
        await append_unannounced(office)
        await office.feed.until_seen(1)


async def append_unannounced(office: Office) -> None:
    """Add to the outbox past the chassis, as an operator might."""
    await office.database.admin.execute(
        "INSERT INTO outbox (topic, keys, payloads, recorded_at) VALUES ($1, ARRAY['key'], ARRAY[$2::bytea], $3)",
        office.feed.topic.name,
        envelope("key", 1).encode(),
        office.database.now(),
    )
