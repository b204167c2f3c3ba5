"""What we change in aiokafka's consumers (0.14). Applied once, when a consumer is made.

A consumer belongs to the cluster whose records it reads. A broker that lost its disk and answers at the same address
knows neither group nor records. aiokafka would go on from where it was in the old log, and commit that: without a
generation, once the new broker has disowned it, which a group without members takes. What the new log holds before that
place would be consumed out of order, or never. So each new connection is asked which cluster it leads to, and one that
leads to another is not used: polls and commits raise AnotherClusterError, and a new consumer begins where its group is
on the new cluster.

And a consumer can be stopped while the broker is away: aiokafka's `stop` raises CancelledError in whoever called it, if
it meets a fetch that rests between two tries.
"""

import asyncio
from typing import Any
from weakref import WeakSet

import aiokafka.consumer.consumer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest


class AnotherClusterError(KafkaError):  # type: ignore[misc] # aiokafka has no types
    """What answers at the broker's address is not the cluster we knew: this consumer is of no use any more."""


class OneClusterClient(AIOKafkaClient):  # type: ignore[misc]
    """A client that uses connections to one cluster: the first one it meets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cluster_id: str | None = None
        self._known_connections: WeakSet[Any] = WeakSet()

    async def _get_conn(self, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, no_hint: bool = False) -> Any:
        """Give a connection, None if there is none, as aiokafka's. Raises AnotherClusterError."""
        conn = await super()._get_conn(node_id, group=group, no_hint=no_hint)
        if conn is None or conn in self._known_connections:
            return conn
        try:
            await self._ask(conn)
        except AnotherClusterError:
            conn.close()
            raise
        except (KafkaError, OSError, TimeoutError):
            conn.close()
            return None
        return conn

    async def _ask(self, conn: Any) -> None:
        found = (await conn.send(MetadataRequest([]))).cluster_id
        self._cluster_id = self._cluster_id or found
        if found != self._cluster_id:
            raise AnotherClusterError(f"cluster {found} answers, not {self._cluster_id}")
        self._known_connections.add(conn)

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> Any:
        """Look at the cluster's topics; fails, as when no broker answers, at another cluster."""
        try:
            return await super()._metadata_update(cluster_metadata, topics)
        except AnotherClusterError as error:
            cluster_metadata.failed_update(error)
            return False


class QuietFetcher(Fetcher):  # type: ignore[misc]
    """Fetches that end when they are cancelled, between two tries too."""

    async def _proc_fetch_request(self, *args: Any) -> Any:
        try:
            return await super()._proc_fetch_request(*args)
        except asyncio.CancelledError:
            return False


def apply() -> None:
    """Have every consumer that this process makes from now on be such a one."""
    aiokafka.consumer.consumer.AIOKafkaClient = OneClusterClient
    aiokafka.consumer.consumer.Fetcher = QuietFetcher
