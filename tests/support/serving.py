"""An app behind a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from deploy.embedded.ports import free_ports
from libs.chassis.runner import HttpServer


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve an app; yields its address."""
    (port,) = free_ports(1)
    server = HttpServer(app, host="127.0.0.1", port=port)
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop()


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve an app and ask it."""
    async with served(app) as address, httpx2.AsyncClient(base_url=address, timeout=20) as http:
        yield http


async def speak(address: str, words: bytes, *, listen: bool = True) -> bytes:
    """Say something to a server in so many bytes; answers what it says, unless we hang up at once."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(words)
    await writer.drain()
    said = await reader.read() if listen else b""
    writer.close()
    await writer.wait_closed()
    return said
