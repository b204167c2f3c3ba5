"""Reading Server-Sent Events, by the HTML standard's rules as far as we need them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    """An event as it came."""

    id: str | None
    name: str
    data: Any

    @property
    def available(self) -> str:
        """The available credits that it tells."""
        return str(self.data["available"])


@dataclass
class EventStream:
    """An open stream."""

    response: httpx2.Response
    comments: list[str] = field(default_factory=list)
    _events: "asyncio.Queue[Event | None]" = field(default_factory=asyncio.Queue)

    async def read(self) -> None:
        """Read until the stream ends."""
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields.get("data"):
                event = Event(fields.get("id"), fields.get("event", "message"), json.loads(fields["data"]))
                self._events.put_nowait(event)
                fields = {}
        self._events.put_nowait(None)

    async def next(self, *, seconds: float = 20) -> Event:
        """Wait for the next event."""
        async with asyncio.timeout(seconds):
            event = await self._events.get()
        assert event is not None, "the stream has ended"
        return event

    async def end(self) -> None:
        """Wait for the end of the stream."""
        async with asyncio.timeout(20):
            assert await self._events.get() is None


@asynccontextmanager
async def streaming(http: httpx2.AsyncClient, headers: dict[str, str], **params: Any) -> AsyncIterator[EventStream]:
    """Open the balance's stream."""
    async with http.stream("GET", "/v1/balance/stream", headers=headers, params=params or None) as response:
        stream = EventStream(response)
        reading = asyncio.create_task(stream.read())
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
