import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from libs.chassis.broker import dead_letters, subscriptions
from libs.chassis.broker.producer import Producer
from libs.chassis.broker.records import LONGEST_KEY
from libs.chassis.errors import UnavailableError
from libs.chassis.outbox import Relay
from libs.contracts.envelope import LARGEST_EVENT_BYTES
from tests.integration.chassis.database import Database
from tests.integration.chassis.desk import Desk
from tests.integration.chassis.kafka import Feed, Gate, envelope
from tests.integration.chassis.waiting import until

POISON = ZeroDivisionError("a bug of ours")


def always() -> list[Exception]:
    """Fail as often as you are tried."""
    return [POISON] * 1000


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_RETRY_SECONDS", (0.01, 0.02, 0.05))
    monkeypatch.setattr(subscriptions, "_REST_SECONDS", 0.1)


@pytest.fixture
async def desk(database: Database, feed: Feed, session_ms: int) -> AsyncIterator[Desk]:
    opened = Desk(database, feed, session_ms=session_ms)
    yield opened
    await opened.close()


async def test_offsets_are_committed_after_the_effect(desk: Desk) -> None:
    gate = Gate()
    desk.before[1] = gate.passed
    async with desk.consuming():
        await desk.feed.send(envelope("key", 1))
        await gate.reached.wait()
        assert await desk.committed() == 0
        gate.opened.set()
        await desk.until_committed(1)
        assert await desk.database.effects() == [1]


async def test_each_key_is_handled_in_its_order(desk: Desk) -> None:
    for number in range(0, 300, 10):
        await desk.feed.send(*(envelope(key, number + n) for n in range(10) for key in "abcd"))
    async with desk.consuming():
        await desk.until_effects(1200)
    assert [await desk.database.effects(key) for key in "abcd"] == [list(range(300))] * 4


async def test_what_fails_in_passing_is_tried_again_in_place_and_nothing_overtakes_it(desk: Desk) -> None:
    desk.failing[1] = [UnavailableError(), OSError(), TimeoutError(), UnavailableError()]
    await desk.feed.send(envelope("key", 1), envelope("key", 2))
    async with desk.consuming():
        await desk.until_effects(2)
    assert (await desk.database.effects(), desk.tries[1], await desk.letters()) == ([1, 2], 5, [])


async def test_what_fails_in_passing_for_long_is_delivered_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_GIVE_UP_SECONDS", 0.0)
    desk.failing[1] = [UnavailableError()] * 2
    await desk.feed.send(envelope("key", 1), envelope("key", 2))
    async with desk.consuming():
        await desk.until_effects(2)
    assert (await desk.database.effects(), await desk.letters()) == ([1, 2], [])


async def test_a_cut_connection_to_the_database_costs_nothing(desk: Desk) -> None:
    async def cut() -> None:
        desk.before.clear()
        await desk.database.cut("test")

    desk.before[1] = cut
    await desk.feed.send(envelope("key", 1), envelope("key", 2))
    async with desk.consuming():
        await desk.until_effects(2)
    assert (await desk.database.effects(), await desk.letters()) == ([1, 2], [])


async def test_poison_is_a_dead_letter_after_three_tries_and_others_flow(desk: Desk) -> None:
    desk.failing[1] = always()
    await desk.feed.send(envelope("key", 1), envelope("key", 2), envelope("other", 3))
    async with desk.consuming():
        await desk.until_effects(2)
        await desk.until_committed(3)
    assert (desk.tries[1], await desk.letters()) == (3, [1])
    assert await desk.letters("(attempts, error, state, key, topic)") == [
        (3, repr(POISON), "waiting", "key", desk.feed.topic.name)
    ]


async def test_what_works_at_the_third_try_is_no_dead_letter(desk: Desk) -> None:
    desk.failing[1] = [POISON] * 2
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming():
        await desk.until_committed(1)
    assert (await desk.database.effects(), await desk.letters()) == ([1], [])


async def test_a_parked_key_holds_what_follows_and_redriving_releases_it_in_order(desk: Desk) -> None:
    desk.failing[1] = always()
    await desk.feed.send(envelope("key", 1), envelope("key", 2), envelope("other", 10))
    async with desk.consuming(parks=True) as consumers:
        await desk.until_letters(2)
        await desk.feed.send(envelope("key", 3), envelope("other", 11))
        await desk.until_letters(3)
        await desk.until_committed(5)
        assert await desk.database.effects() == [10, 11]

        assert await desk.ask_redrive() == 3
        assert await desk.redrive(consumers) == 0  # still poison: all wait again
        assert await desk.letters("state") == ["waiting"] * 3

        desk.failing[1].clear()
        await desk.ask_redrive()
        assert await desk.redrive(consumers) == 3
        await desk.feed.send(envelope("key", 4))
        await desk.until_effects(6)
    assert await desk.database.effects("key") == [1, 2, 3, 4]
    assert await desk.letters("state") == ["redriven"] * 3


async def test_what_comes_while_its_key_is_redriven_is_redriven_behind_it(desk: Desk) -> None:
    desk.failing[1] = always()
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming(parks=True) as consumers:
        await desk.until_committed(1)
        desk.failing[1].clear()
        await desk.ask_redrive()
        gate = Gate()
        desk.before[1] = gate.passed
        redriving = asyncio.create_task(desk.redrive(consumers))
        await gate.reached.wait()
        await desk.feed.send(envelope("key", 2))
        await desk.until_letters(2)
        gate.opened.set()
        assert await redriving == 1
        assert await desk.redrive(consumers) == 1  # nobody had to ask for the second
    assert await desk.database.effects() == [1, 2]


async def test_what_was_about_to_park_when_the_key_was_freed_is_handled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.failing[1] = always()
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming(parks=True) as consumers:
        await desk.until_committed(1)
        desk.failing[1].clear()
        await desk.ask_redrive()
        look = dead_letters.look_up

        async def freed_right_after(*arguments: Any) -> tuple[set[str], set[str]]:
            found: tuple[set[str], set[str]] = await look(*arguments)
            await desk.redrive(consumers)
            return found

        monkeypatch.setattr(dead_letters, "look_up", freed_right_after)
        await desk.feed.send(envelope("key", 2))
        await desk.until_effects(2)
    assert (await desk.database.effects(), await desk.letters()) == ([1, 2], [1])


async def test_what_was_held_back_behind_a_letter_that_failed_again_waits_with_it(desk: Desk) -> None:
    desk.failing[1] = always()
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming(parks=True) as consumers:
        await desk.until_letters(1)
        await desk.ask_redrive()
        gate = Gate()
        desk.before[1] = gate.passed
        redriving = asyncio.create_task(desk.redrive(consumers))
        await gate.reached.wait()
        await desk.database.admin.execute("UPDATE dead_letter SET state = 'waiting'")  # another worker's try failed
        await desk.feed.send(envelope("key", 2))
        await desk.until_letters(2)
        await desk.database.admin.execute(
            "UPDATE dead_letter SET state = 'redriving' WHERE id = (SELECT max(id) FROM dead_letter)"
        )
        gate.opened.set()
        await redriving
        assert await desk.redrive(consumers) == 0
    assert await desk.database.effects() == []


async def test_a_redrive_that_met_a_passing_error_goes_on_by_itself(desk: Desk) -> None:
    desk.failing[1] = [POISON] * 3
    await desk.feed.send(envelope("key", 1), envelope("key", 2))
    async with desk.consuming(parks=True) as consumers:
        await desk.until_letters(2)
        await desk.ask_redrive()
        desk.failing[1] = [UnavailableError()]
        assert await desk.redrive(consumers) == 0
        assert await desk.redrive(consumers) == 2
    assert await desk.database.effects() == [1, 2]


@pytest.mark.parametrize("parks", [True, False])
@pytest.mark.parametrize("whole_batches", [True, False])
async def test_a_malformed_record_does_not_poison_its_batch(desk: Desk, whole_batches: bool, parks: bool) -> None:
    sound = envelope("sound", 1).encode()
    too_large = envelope("key", 7, filler="x" * LARGEST_EVENT_BYTES).encode()
    await desk.feed.send_raw(
        ("a", b"not json"), ("a", b""), ("b", b"{}"), ("c", b"\xff\x00"), ("d", too_large), ("sound", sound)
    )
    async with desk.consuming(whole_batches=whole_batches, parks=parks):
        await desk.until_committed(6)
    assert await desk.database.effects() == [1]
    errors = await desk.letters("error")
    waiting = [error for error in errors if error == "waits behind an earlier dead letter of its key"]
    assert len(errors) == 5
    assert len(waiting) == (1 if parks else 0)
    assert all(error.startswith("malformed: ") for error in errors if error not in waiting)


async def test_a_malformed_record_parks_its_key_behind_what_came_before(desk: Desk) -> None:
    desk.failing[1] = always()
    poison, after = envelope("key", 1), envelope("key", 2)
    await desk.feed.send_raw(("key", poison.encode()), ("key", b"not json"), ("key", after.encode()))
    async with desk.consuming(parks=True, whole_batches=True):
        await desk.until_committed(3)
    assert await desk.letters("payload") == [poison.encode(), b"not json", after.encode()]


async def test_records_that_no_service_of_ours_would_write_are_kept_all_the_same(desk: Desk) -> None:
    """Whoever may publish may publish this, and any of it could stop a consumer for good."""
    producer = AIOKafkaProducer(bootstrap_servers=desk.feed.servers)
    await producer.start()
    strange: list[dict[str, Any]] = [
        {"key": b"k" * 10_000, "value": b"a key too long for an index"},
        {"key": b"\xff\x00\xfe", "value": b"a key that is no text"},
        {"key": None, "value": b"no key"},
        {"key": b"tombstone", "value": None},
        {"key": b"header", "value": b"a header without a value", "headers": [("none", None)]},
        {"key": b"header", "value": b"a header with a NUL", "headers": [("nul\x00", b"\x00\xff")]},
    ]
    for record in strange:
        await producer.send_and_wait(desk.feed.topic.name, **record)
    await producer.stop()
    async with desk.consuming(parks=True):
        await desk.until_committed(len(strange))
    assert await desk.letters("count(*) OVER ()") == [len(strange)] * len(strange)
    assert max(len(key) for key in await desk.letters("key")) == LONGEST_KEY


async def test_a_dead_letter_is_told_with_its_reason_on_a_topic_of_its_own(desk: Desk) -> None:
    desk.failing[1] = always()
    poison = envelope("key", 1)
    large = envelope("large", 2, filler="ü" * LARGEST_EVENT_BYTES).encode()
    await desk.feed.send_raw(("key", poison.encode()), ("large", large))
    dlq = await Feed.open(desk.feed.servers, desk.feed.topic.dead_letters)
    producer = Producer(desk.feed.servers, client_id="relay")
    relay = Relay(desk.database.pool, producer, database_url=desk.database.url)
    await relay.start()
    async with desk.consuming():
        told = {record.key: record for record in await dlq.until_seen(2)}
    await relay.stop()
    await producer.stop()
    await dlq.close()
    assert told["key"].payload == poison.encode()
    headers = told["key"].headers
    assert (headers["dlq_consumer"], headers["dlq_error"], headers["dlq_attempts"]) == (
        desk.consumer,
        repr(POISON),
        "3",
    )
    assert headers["dlq_origin"].startswith(f"{desk.feed.topic.name}/")
    assert (told["large"].payload, told["large"].headers["dlq_bytes"]) == (b"", str(len(large)))
    assert await desk.letters("payload") == [large, poison.encode()]


async def test_a_whole_batch_is_handled_at_once_and_a_culprit_fails_alone(desk: Desk) -> None:
    desk.failing[3] = always()
    await desk.feed.send(*(envelope(f"key-{number}", number) for number in range(8)))
    async with desk.consuming(whole_batches=True):
        await desk.until_committed(8)
    assert sorted(await desk.database.effects()) == [0, 1, 2, 4, 5, 6, 7]
    assert await desk.letters() == [3]


async def test_what_is_a_dead_letter_is_not_tried_again_when_its_batch_comes_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "_GIVE_UP_SECONDS", 0.0)
    desk.failing[1] = [POISON] * 3
    desk.failing[2] = [UnavailableError()]
    await desk.feed.send(*(envelope("key", number) for number in (1, 2)))
    async with desk.consuming():
        await desk.until_committed(2)
    assert (desk.tries[1], desk.tries[2], await desk.letters(), await desk.database.effects()) == (3, 2, [1], [2])


async def test_too_many_dead_letters_stop_the_consumer_until_they_are_handled(desk: Desk) -> None:
    for number in range(100):
        desk.failing[number] = always()
    await desk.feed.send(*(envelope(f"key-{number}", number) for number in range(100)))
    async with desk.consuming():
        await desk.until_letters(25)
        await until(lambda: desk.tries.total() > 120)  # some rests later
        assert len(await desk.letters()) == 25
        desk.failing.clear()  # somebody found the cause
        await desk.until_effects(75)
    assert sorted(await desk.database.effects() + await desk.letters()) == list(range(100))


async def test_stopping_finishes_the_batch_in_hand(desk: Desk) -> None:
    gate = Gate()
    desk.before[1] = gate.passed
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming() as consumers:
        await gate.reached.wait()
        stopping = asyncio.create_task(consumers.stop())
        await asyncio.sleep(0)
        assert await desk.database.effects() == []
        gate.opened.set()
        await stopping
    assert (await desk.database.effects(), await desk.committed()) == ([1], 1)


async def test_stopping_does_not_wait_for_what_keeps_failing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is delivered to whoever consumes next."""
    monkeypatch.setattr(subscriptions, "_RETRY_SECONDS", (3600.0,) * 6)
    desk.failing[1] = [UnavailableError()] * 1000
    await desk.feed.send(envelope("key", 1))
    async with desk.consuming():
        await until(lambda: desk.tries[1] > 0)
    assert await desk.committed() == 0
    desk.failing.clear()
    async with desk.consuming():
        await desk.until_effects(1)


async def test_beginning_anew_goes_on_where_it_was(desk: Desk) -> None:
    async with desk.consuming() as consumers:
        for number in range(3):
            await desk.feed.send(envelope("key", number))
            await desk.until_committed(number + 1)
            await consumers.begin_anew()
            await until(consumers.ready)
        await desk.feed.send(envelope("key", 3))
        await desk.until_effects(4)
    assert await desk.database.effects() == [0, 1, 2, 3]
    assert desk.tries.total() == 4


async def test_members_that_join_and_leave_in_mid_stream_lose_and_repeat_nothing(desk: Desk) -> None:
    async def fill() -> None:
        for number in range(0, 400, 5):
            await desk.feed.send(*(envelope(key, number + n) for n in range(5) for key in "abcdef"))

    async with desk.consuming() as first:
        filling = asyncio.create_task(fill())
        for _ in range(2):
            async with desk.consuming():
                await until(first.ready)
        await filling
        await desk.until_effects(2400)
    assert [await desk.database.effects(key) for key in "abcdef"] == [list(range(400))] * 6
    assert await desk.committed() == 2400
