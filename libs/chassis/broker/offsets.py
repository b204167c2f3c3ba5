"""Offsets committed a little later than the effect, those of several batches at once: each commit costs alike.

What is not committed yet is delivered again after a crash, and recognised.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition

_LATER_SECONDS = 0.1


class Offsets:
    """How far a consumer's effects are, and its group knows."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._noted: dict[TopicPartition, int] = {}
        self._at_once = asyncio.Event()
        self._committing: asyncio.Task[None] | None = None

    def note(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have offsets committed whose effect there is. Raises KafkaError if those before them could not be."""
        self._noted |= offsets
        if self._committing is not None and self._committing.done():
            self._committing.result()
            self._committing = None
        if self._committing is None and self._noted:
            self._committing = asyncio.create_task(self._commit(), name="offsets")

    async def flush(self) -> None:
        """Wait until all is committed. Raises KafkaError if it could not be: then it is delivered again."""
        self._at_once.set()
        try:
            if self._committing is not None:
                committing, self._committing = self._committing, None
                await committing
        finally:
            self._at_once.clear()

    async def _commit(self) -> None:
        while self._noted:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LATER_SECONDS):
                    await self._at_once.wait()
            noted, self._noted = self._noted, {}
            await self._consumer.commit(noted)
