"""A consumer whose handler does what a test tells it to, and leaves its effects in the database."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from faststream import AckPolicy

from libs.chassis import inbox
from libs.chassis.broker import dead_letters
from libs.chassis.broker.subscriptions import Consumers
from libs.contracts.envelope import CloudEvent
from tests.integration.chassis.database import Database
from tests.integration.chassis.kafka import Feed
from tests.integration.chassis.waiting import until, until_found

Deed = Callable[[], Awaitable[None]]


@dataclass
class Desk:
    """Consumes a feed into a database: each event once, by the inbox."""

    database: Database
    feed: Feed
    session_ms: int = 6000
    before: dict[int, Deed] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)
    failing: defaultdict[int, list[Exception]] = field(default_factory=lambda: defaultdict(list))

    _admin: AIOKafkaAdminClient | None = None

    async def close(self) -> None:
        """Close what was opened to look."""
        if self._admin is not None:
            await self._admin.close()

    @property
    def consumer(self) -> str:
        """The name under which dead letters are kept."""
        return f"test.{self.feed.topic.name}"

    async def handle(self, events: Sequence[CloudEvent]) -> None:
        """Leave the numbers of events that were not seen before; fail as told."""
        async with self.database.pool.transaction() as conn:
            for event in events:
                key, number = event.data["name"], event.data["number"]
                self.tries[number] += 1
                if number in self.before:
                    await self.before[number]()
                if self.failing[number]:
                    raise self.failing[number].pop(0)
                if await inbox.first_time(conn, consumer="test", message_id=event.id, at=self.database.now()):
                    await conn.execute("INSERT INTO effect (key, number) VALUES ($1, $2)", key, number)

    @asynccontextmanager
    async def consuming(self, *, parks: bool = False, whole_batches: bool = False) -> AsyncIterator[Consumers]:
        """Consume for as long as the block lasts; it begins once the group has taken us in."""
        consumers = self.consumers(parks=parks, whole_batches=whole_batches)
        await consumers.start()
        try:
            await until(consumers.ready)
            yield consumers
        finally:
            await consumers.stop()

    def consumers(self, *, parks: bool = False, whole_batches: bool = False) -> Consumers:
        """Make a member of the group, not yet started."""
        consumers = Consumers(
            self.feed.servers,
            service="test",
            pool=self.database.pool,
            clock=self.database.clock,
            session_timeout_ms=self.session_ms,
        )
        consumers.subscribe(
            self.feed.topic,
            self.handle,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            parks=parks,
            whole_batches=whole_batches,
        )
        return consumers

    async def committed(self, group: str | None = None) -> int:
        """Count the records whose offsets a group, our own by default, has committed."""
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self.feed.servers)
            await self._admin.start()
        offsets = await self._admin.list_consumer_group_offsets(group or f"scrip-{self.consumer}")
        return sum(max(0, found.offset) for found in offsets.values())

    async def until_effects(self, number: int) -> None:
        """Wait until handlers have left this many effects."""

        async def there() -> bool:
            return len(await self.database.effects()) >= number

        await until_found(there)

    async def until_committed(self, number: int) -> None:
        """Wait until the group has committed this many records."""

        async def there() -> bool:
            return await self.committed() >= number

        await until_found(there)

    async def letters(self, columns: str = "number") -> list[Any]:
        """List the dead letters: their numbers, or one other column."""
        of = "(convert_from(payload, 'UTF8')::json #>> '{data,number}')::int" if columns == "number" else columns
        return [row[0] for row in await self.database.admin.fetch(f"SELECT {of} FROM dead_letter ORDER BY id")]

    async def until_letters(self, number: int) -> None:
        """Wait until this many dead letters are kept."""

        async def there() -> bool:
            return int(await self.database.value("SELECT count(*) FROM dead_letter")) >= number

        await until_found(there)

    async def ask_redrive(self) -> int:
        """Ask for all letters to be handled again, as an operator does."""
        async with self.database.pool.transaction() as conn:
            return await dead_letters.ask_redrive(conn, consumer=self.consumer)

    async def redrive(self, consumers: Consumers) -> int:
        """Make a pass of the job that redrives."""
        (subscription,) = consumers.subscriptions
        return await dead_letters.redrive(
            self.database.pool, self.consumer, subscription.redrive, now=self.database.now()
        )
