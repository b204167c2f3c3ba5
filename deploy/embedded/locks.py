"""Locks between processes: held on an open file, ended by the kernel with whoever holds them."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

POLL_S = 0.02


def open_lock(file: Path) -> IO[str]:
    """Open a lock's file, not yet taking it; children do not inherit it, as Python's files close on exec."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return file.open("a")


def taken(lock: IO[str]) -> bool:
    """Take the lock unless another holds it; closing the file gives it back."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def alone(file: Path) -> AsyncIterator[None]:
    """Wait for the lock and hold it."""
    with open_lock(file) as lock:
        while not taken(lock):  # noqa: ASYNC110  # who gives it back is another process
            await asyncio.sleep(POLL_S)
        yield
