"""The Stripe sandbox as a process of its own, a client for it, and somebody who receives its webhooks."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import stripe

Condition = Callable[[], Awaitable[object]]

SECRET = "whsec_sandbox_tests"
KEY = "sk_test_sandbox_tests"
PUBLISHABLE_KEY = "pk_test_sandbox_tests"


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that answers under `url`."""

    process: asyncio.subprocess.Process
    url: str
    http: httpx2.AsyncClient
    """Speaks with its switches and pages."""

    async def kill(self) -> None:
        """End it as SIGKILL does."""
        self.process.kill()
        await self.process.wait()

    async def get(self, path: str) -> Any:
        """Read one of its views."""
        response = await self.http.get(f"/sandbox/{path}")
        response.raise_for_status()
        return response.json()

    async def put(self, path: str, body: Any) -> None:
        """Turn one of its switches."""
        (await self.http.put(f"/sandbox/{path}", json=body)).raise_for_status()

    async def post(self, path: str, body: Any) -> Any:
        """Have it do something at once."""
        response = await self.http.post(f"/sandbox/{path}", json=body)
        response.raise_for_status()
        return response.json()


async def until(holds: Condition, *, within_s: float = 20) -> None:
    """Ask another process until something holds there."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what another process holds can only be asked for
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running_sandbox(**flags: object) -> AsyncIterator[RunningSandbox]:
    """Start a sandbox on a free port with these flags (`data=path` is `--data path`), and stop it in the end."""
    given = [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.stripe_sandbox", "--port", "0", "--quiet", *given,
        stdout=asyncio.subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    try:
        url = await _printed_address(process)
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield RunningSandbox(process, url, http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _printed_address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    match = re.search(r"http://\S+", line)
    assert match is not None, f"the sandbox said {line!r} and not where it is"
    return match[0]


@asynccontextmanager
async def stripe_client(url: str, *, key: str = KEY, retries: int = 2) -> AsyncIterator[stripe.StripeClient]:
    """Make Stripe's official client for a sandbox: another base address, nothing else."""
    http = stripe.HTTPXClient(timeout=20)
    places: Any = {"api": url, "files": url, "connect": url, "meter_events": url}
    yield stripe.StripeClient(key, max_network_retries=retries, http_client=http, base_addresses=places)
    await http.close_async()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Received:
    """A webhook as it came over the wire."""

    body: bytes
    headers: dict[str, str]

    @property
    def event(self) -> dict[str, Any]:
        """What it tells."""
        event: dict[str, Any] = orjson.loads(self.body)
        return event

    @property
    def signature(self) -> str:
        """How it was signed."""
        return self.headers["stripe-signature"]


@dataclass
class Receiver:
    """A webhook endpoint on a port of this machine, which keeps what it is sent."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    answers: list[int] = field(default_factory=list)
    """The statuses of the next answers; afterwards 200."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def about(self, object_id: str) -> list[Received]:
        """Give what was received about an object, in the order in which it came."""
        return [each for each in self.received if each.event["data"]["object"].get("id") == object_id]

    def types_about(self, object_id: str) -> list[str]:
        """Give the types of the events received about an object."""
        return [each.event["type"] for each in self.about(object_id)]

    async def until(self, enough: Callable[[], bool], *, within_s: float = 20) -> None:
        """Wait until what was received is enough."""
        async with self._arrived, asyncio.timeout(within_s):
            await self._arrived.wait_for(enough)

    async def until_about(self, object_id: str, *types: str) -> None:
        """Wait until events of all these types about an object were received."""
        await self.until(lambda: set(types) <= set(self.types_about(object_id)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while await self._answer_one(reader, writer):
                pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return False
        headers = {name.lower(): value.strip() for name, value in re.findall(r"^([\w-]+):(.*)\r$", head, re.MULTILINE)}
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.answers.pop(0) if self.answers else 200
        writer.write(f"HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\n\r\n".encode())
        async with self._arrived:
            self.received.append(Received(body, headers))
            self._arrived.notify_all()
        return True


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Open a webhook endpoint."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks"
    try:
        yield receiver
    finally:
        server.close()
