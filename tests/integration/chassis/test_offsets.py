from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from libs.chassis.broker.offsets import Offsets
from tests.integration.chassis.kafka import Feed, envelope
from tests.integration.chassis.waiting import until_found


class Counting(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
    """A consumer that remembers what it was asked to commit, and can be told to fail."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(
            feed.topic.name,
            bootstrap_servers=feed.servers,
            group_id=f"group-{feed.topic.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self.asked: list[Mapping[TopicPartition, int]] = []
        self.fails = False

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit, as it does."""
        self.asked.append(offsets)
        if self.fails:
            raise CommitFailedError
        await super().commit(offsets)


@pytest.fixture
async def consumer(feed: Feed) -> AsyncIterator[Counting]:
    """A member of a group, with ten records of one partition before it."""
    await feed.send(*(envelope("key", number) for number in range(10)))
    async with Counting(feed) as member:
        yield member


async def partition_of(consumer: Counting) -> TopicPartition:
    """Find the partition with the records."""
    while not (found := await consumer.getmany(timeout_ms=100)):
        pass
    return next(iter(found))


async def test_what_several_batches_noted_is_committed_at_once(consumer: Counting) -> None:
    offsets, partition = Offsets(consumer), await partition_of(consumer)
    for number in range(1, 8):
        offsets.note({partition: number})

    async def committed() -> bool:
        return bool(await consumer.committed(partition) == 7)

    await until_found(committed)
    assert consumer.asked == [{partition: 7}]
    offsets.note({partition: 9})
    await offsets.flush()
    assert await consumer.committed(partition) == 9


async def test_what_is_flushed_is_committed_when_it_returns(
    consumer: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.chassis.broker.offsets._LATER_SECONDS", 3600)
    offsets, partition = Offsets(consumer), await partition_of(consumer)
    await offsets.flush()
    offsets.note({partition: 4})
    await offsets.flush()
    assert await consumer.committed(partition) == 4


async def test_whoever_notes_or_flushes_is_told_that_offsets_could_not_be_committed(consumer: Counting) -> None:
    offsets, partition = Offsets(consumer), await partition_of(consumer)
    consumer.fails = True
    offsets.note({partition: 3})
    with pytest.raises(KafkaError):
        await offsets.flush()

    async def told() -> bool:
        try:
            offsets.note({partition: 5})
        except KafkaError:
            return True
        return False

    await until_found(told)
    assert await consumer.committed(partition) is None
