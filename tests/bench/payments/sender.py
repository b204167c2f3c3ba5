"""Sends requests that are written already over kept connections: it takes little of the machine that it measures."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice
from typing import cast
from urllib.parse import urlsplit


class Connection(asyncio.Protocol):
    """One request at a time; an answer is whole with the brace that ends its JSON."""

    def __init__(self) -> None:
        self._answer = b""
        self._waiter: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._answer += data
        if self._waiter is not None and self._answer.endswith(b"}"):
            self._waiter.set_result(None)

    async def post(self, request: bytes) -> None:
        """Send a request and wait for its answer. Raises RuntimeError if that is no 200."""
        self._answer, self._waiter = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(60):
            await self._waiter
        if not self._answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self._answer.decode("latin-1"))


@asynccontextmanager
async def connections(urls: Sequence[str], number: int) -> AsyncIterator[Sequence[Connection]]:
    """Open so many connections, to these addresses in turn."""
    loop, places = asyncio.get_running_loop(), [urlsplit(url) for url in urls]
    turns = islice(cycle(places), number)
    made = [await loop.create_connection(Connection, where.hostname or "", where.port or 80) for where in turns]
    try:
        yield [connection for _, connection in made]
    finally:
        for transport, _ in made:
            transport.close()


async def send_all(opened: Sequence[Connection], requests: Iterable[bytes]) -> int:
    """Send them over all connections, each as soon as it has its answer; answers how many that were."""
    left = iter(requests)

    async def send(connection: Connection) -> int:
        sent = 0
        for request in left:
            await connection.post(request)
            sent += 1
        return sent

    return sum(await asyncio.gather(*(send(connection) for connection in opened)))


async def send_steadily(
    opened: Sequence[Connection], requests: Mapping[str, bytes], *, per_second: float
) -> dict[str, float]:
    """Send requests at a steady rate, by the connections in turn; answers when each of them was sent."""
    loop, named = asyncio.get_running_loop(), list(requests.items())
    began, sent = loop.time() + 0.1, dict[str, float]()

    async def send(first: int) -> None:
        for number in range(first, len(named), len(opened)):
            name, request = named[number]
            await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
            sent[name] = time.time()
            await opened[first].post(request)

    await asyncio.gather(*(send(first) for first in range(len(opened))))
    return sent
