"""Usage over Kafka: keyed by account, acknowledged by all replicas."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from ..envelope import CONTENT_TYPE
from .errors import NotAcceptedError, Refusal
from .reports import Report

_REMEMBERED_KEYS = 100_000
_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaTransport:
    """An idempotent producer, made on first need and made anew after an error.

    One whose broker has lost its memory never recovers by itself (aiokafka 0.14).
    """

    def __init__(self, servers: str, *, topic: str, **options: Any) -> None:
        self._servers = servers
        self._topic = topic
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        partitioner = options.get("partitioner") or DefaultPartitioner()

        @lru_cache(_REMEMBERED_KEYS)  # the hash is Kafka's, in Python
        def partition_of(key: bytes, partitions: tuple[int, ...]) -> int:
            return int(partitioner(key, list(partitions), list(partitions)))

        self._partition_of = partition_of

    async def send(self, reports: Sequence[Report]) -> Sequence[Refusal]:
        """Hand a batch over; Kafka refuses nothing for good, so an event that is wrong is Scrip's to reject later."""
        try:
            producer = await self._connected()
            partitions = tuple(sorted(await producer.partitions_for(self._topic)))
            waiting = [
                await producer.send_batch(batch, self._topic, partition=partition)
                for partition, batch in self._batches(producer, reports, partitions)
            ]
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        except (KafkaError, OSError) as error:
            await self.close()
            raise NotAcceptedError(f"Kafka at {self._servers} did not take usage: {error!r}") from error
        except asyncio.CancelledError:
            await self.close()
            raise
        return []

    def _batches(
        self, producer: AIOKafkaProducer, reports: Sequence[Report], partitions: tuple[int, ...]
    ) -> Sequence[tuple[int, Any]]:
        """Sort reports into batches of the partitions, which costs a third of sending them one by one."""
        done, filling = list[tuple[int, Any]](), dict[int, Any]()
        for report in reports:
            key = report.key.encode()
            partition = self._partition_of(key, partitions)
            record = {"timestamp": None, "key": key, "value": report.payload, "headers": _HEADERS}
            if partition in filling and filling[partition].append(**record) is not None:
                continue
            if partition in filling:
                done.append((partition, filling[partition]))  # it is full
            filling[partition] = producer.create_batch()
            filling[partition].append(**record)  # the first is taken however large it is
        return [*done, *filling.items()]

    async def close(self) -> None:
        """Close the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(2):
                    await producer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **{
                    "bootstrap_servers": self._servers,
                    "client_id": "scrip-usage-client",
                    "acks": "all",
                    "enable_idempotence": True,
                    "max_batch_size": 256 * 1024,
                    "request_timeout_ms": 10_000,
                    **self._options,
                }
            )
            await self._producer.start()
        return self._producer
