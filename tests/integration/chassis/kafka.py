"""A topic of a test's own, and all that is in it."""

from asyncio import Event as Signal
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, ClassVar, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.chassis.broker import topics
from libs.chassis.broker.producer import Message, Producer
from libs.chassis.broker.records import Record
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.base import Event
from libs.contracts.topics import Topic

_numbers = count()


class Numbered(Event):
    """A number came up, under a key."""

    type: ClassVar[str] = "test.Numbered.v1"
    topic: ClassVar[Topic] = Topic("replaced-by-each-test", key="whatever")
    source: ClassVar[str] = "/tests"

    name: str
    number: int

    def key(self) -> str:
        """Tell the key."""
        return self.name


def own_topic(*, partitions: int = 3) -> Topic:
    """Name a topic that no other test has."""
    return Topic(f"test.{next(_numbers)}.{uuid4().hex[:8]}", key="whatever", partitions=partitions)


@cache
def about(topic: Topic) -> type[Numbered]:
    """Make the event's class for a topic."""
    return type("Numbered", (Numbered,), {"topic": topic, "__module__": __name__})


def envelope(key: str, number: int, **data: Any) -> CloudEvent:
    """Write an event that consumers read."""
    data = {"name": key, "number": number, **data}
    return CloudEvent(id=uuid4().hex, source="/tests", type=Numbered.type, subject=key, data=data)


def number_of(record: Record) -> int:
    """Read the number in a record."""
    return int(CloudEvent.decode(record.payload).data["number"])


@dataclass
class Feed:
    """A topic with a producer to fill it and a reader of all that it holds."""

    servers: str
    topic: Topic
    producer: Producer
    seen: list[Record] = field(default_factory=list)
    _reader: AIOKafkaConsumer | None = None

    @classmethod
    async def open(cls, servers: str, topic: Topic) -> Self:
        """Create the topic, and its dead letters'."""
        await topics.ensure(servers, [topic, topic.dead_letters], replication=1)
        return cls(servers, topic, Producer(servers, client_id="test"))

    async def close(self) -> None:
        """Close the connections."""
        await self.producer.stop()
        if self._reader is not None:
            await self._reader.stop()

    async def send(self, *events: CloudEvent) -> None:
        """Publish events in the order given, and wait until the broker has them."""
        await self.send_raw(*((str(event.subject), event.encode()) for event in events))

    async def send_raw(self, *records: tuple[str, bytes]) -> None:
        """Publish whatever bytes."""
        await self.producer.publish((self.topic.name, Message(key, payload)) for key, payload in records)

    async def until_seen(self, number: int) -> list[Record]:
        """Read until the topic has shown this many records since it was opened; returns all that were seen."""
        reader = await self._read()
        while len(self.seen) < number:
            found = await reader.getmany(timeout_ms=50)
            self.seen += [Record.of(raw) for records in found.values() for raw in records]
        return self.seen

    async def until_told(self, key: str, number: int) -> None:
        """Read until a number came up under a key."""
        while number not in self.numbers(key):
            await self.until_seen(len(self.seen) + 1)

    def numbers(self, key: str) -> list[int]:
        """List the numbers seen under a key, in the order of the log."""
        return [number_of(record) for record in self.seen if record.key == key]

    async def _read(self) -> AIOKafkaConsumer:
        if self._reader is None:
            self._reader = AIOKafkaConsumer(
                bootstrap_servers=self.servers, auto_offset_reset="earliest", enable_auto_commit=False
            )
            await self._reader.start()
            self._reader.assign([TopicPartition(self.topic.name, n) for n in range(self.topic.partitions)])
        return self._reader


@dataclass
class Gate:
    """Holds whoever passes until it is opened."""

    opened: Signal = field(default_factory=Signal)
    reached: Signal = field(default_factory=Signal)

    async def passed(self) -> None:
        """Say that somebody is here, and wait."""
        self.reached.set()
        await self.opened.wait()
