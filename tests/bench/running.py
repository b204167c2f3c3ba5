"""A whole stack on an empty folder, for as long as something is measured on it."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from deploy.embedded.databases import SERVICES
from deploy.embedded.stack import Stack, StackSettings


class Running:
    """A stack that starts and stops; all is gone afterwards."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="scrip-bench-"))
        often = {f"SCRIP_GATEWAY_PAYMENTS_PER_{whom}_A_MINUTE": "100000" for whom in ("USER", "ADDRESS")}
        self.stack = Stack(StackSettings(data=self._folder), say=lambda _: None, env=often)
        self.start_seconds = 0.0

    async def __aenter__(self) -> "Running":
        began = time.monotonic()
        await self.stack.start()
        self.start_seconds = time.monotonic() - began
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


async def tune(stack: Stack, *settings: str) -> None:
    """Start PostgreSQL again with these settings, and the services with it."""
    conn = await asyncpg.connect(stack.infrastructure.database_url)
    for setting in settings:
        await conn.execute(f"ALTER SYSTEM SET {setting}")
    await conn.close()
    await stack.infrastructure.postgres.process.restart()
    await asyncio.gather(*(stack.processes[name].restart() for name in SERVICES))


async def column(url: str, query: str, *args: object) -> dict[str, float]:
    """Read instants by the names they belong to; the query selects `name` and `at`."""
    conn = await asyncpg.connect(url)
    try:
        return {row["name"]: row["at"].timestamp() for row in await conn.fetch(query, *args)}
    finally:
        await conn.close()


async def count(url: str, query: str, *args: Sequence[object]) -> int:
    """Read one number."""
    conn = await asyncpg.connect(url)
    try:
        return int(await conn.fetchval(query, *args))
    finally:
        await conn.close()
