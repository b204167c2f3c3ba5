"""Topics come into being here, and again when a broker has lost them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from libs.chassis.telemetry import log
from libs.contracts.topics import Topic

_LOOK_EVERY_SECONDS = 2.0


class TopicWatch:
    """Keeps the declared topics in being, and tells when the broker is no longer the one it was.

    A broker that comes back with another cluster id has forgotten everything, offsets included: consumers must then
    begin at the earliest record.
    """

    def __init__(
        self,
        servers: str,
        *,
        topics: Iterable[Topic],
        replication: int,
    ) -> None:
        self._servers = servers
        self._topics = tuple(topics)
        self._replication = replication
        self._to_meet: list[Callable[[str], Awaitable[None]]] = []
        self._to_tell: list[Callable[[], Awaitable[None]]] = []
        self._cluster: str | None = None
        self._loop: asyncio.Task[None] | None = None

    def on_cluster(self, meet: Callable[[str], Awaitable[None]]) -> None:
        """Have `meet` called with the broker's cluster id when it is first seen, and whenever it is another."""
        self._to_meet.append(meet)

    def on_new_cluster(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Have `tell` called when the broker has another cluster id than before."""
        self._to_tell.append(tell)

    async def start(self) -> None:
        """Begin to look; the broker may be away for now."""
        self._loop = asyncio.create_task(self._watch(), name="topic-watch")

    async def stop(self) -> None:
        """Stop looking."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("topics.broker_away", error=repr(error))
            except Exception:
                log.exception("topics.look_failed")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        cluster = await ensure(self._servers, self._topics, replication=self._replication)
        if self._cluster == cluster:
            return
        for meet in self._to_meet:
            await meet(cluster)
        if self._cluster is not None:
            log.error("topics.new_cluster", was=self._cluster, now=cluster)
            for tell in self._to_tell:
                await tell()
        self._cluster = cluster  # only now: who could not be told is told again


async def ensure(servers: str, topics: Iterable[Topic], *, replication: int) -> str:
    """Create the topics that are missing; returns the cluster's id. Raises KafkaError if the broker is away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=10_000)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in there]
        if missing:
            _check(await admin.create_topics([_new(topic, replication) for topic in missing]))
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


def _check(answer: Any) -> None:
    """Raise the first error of an answer; aiokafka's admin client leaves that to us (0.14)."""
    for topic, code, *_ in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):  # another process may have been faster
            raise for_code(code)(f"{topic} was not created")


def _new(topic: Topic, replication: int) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=replication,
        topic_configs={"retention.ms": str(topic.retention_ms)},
    )
