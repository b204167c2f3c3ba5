"""Waiting for what must happen; a test's own timeout ends a vain wait."""

import asyncio

import psutil

from deploy.embedded import leftovers


async def until_gone(*pids: int) -> None:
    """Wait until processes are gone."""
    while any(psutil.pid_exists(pid) and leftovers.alive(psutil.Process(pid)) for pid in pids):  # noqa: ASYNC110  # of others
        await asyncio.sleep(0.01)
