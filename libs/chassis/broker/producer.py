"""The producer: keyed messages, acknowledged by all replicas, in the order given for each key."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.contracts.envelope import CONTENT_TYPE

_CONTENT_TYPE = ("content-type", CONTENT_TYPE.encode())


@dataclass(frozen=True, slots=True)
class Message:
    """A key and a written event."""

    key: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Producer:
    """A connection to the broker that is made on first need and made anew after an error.

    An idempotent producer whose broker lost its memory never recovers by itself (aiokafka 0.14), so any failure
    drops it; whoever publishes keeps what was not acknowledged and tries again.
    """

    def __init__(self, servers: str, *, client_id: str) -> None:
        self._servers = servers
        self._client_id = client_id
        self._open: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def publish(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Publish (topic, message) pairs and wait until the broker has them all. Raises KafkaError: try all again."""
        producer = await self._producer()
        try:
            waiting = [
                await producer.send(topic, message.payload, key=message.key.encode(), headers=_headers(message))
                for topic, message in messages
            ]
            for acknowledged in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(acknowledged, BaseException):
                    raise acknowledged
        except (KafkaError, asyncio.CancelledError):
            await self._drop(producer)
            raise

    async def stop(self) -> None:
        """Close the connection."""
        if self._open is not None:
            await self._drop(self._open)

    async def _producer(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._open is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_batch_size=256 * 1024,
                    max_request_size=4 * 1024 * 1024,
                    request_timeout_ms=10_000,
                    retry_backoff_ms=100,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._open = producer
            return self._open

    async def _drop(self, producer: AIOKafkaProducer) -> None:
        if self._open is producer:
            self._open = None
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(2):
                await producer.stop()


def _headers(message: Message) -> list[tuple[str, bytes]]:
    return [_CONTENT_TYPE, *((name, value.encode()) for name, value in message.headers.items())]
