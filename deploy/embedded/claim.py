"""One stack at a time in a data folder, and stopping it from another shell."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from deploy.embedded import leftovers
from deploy.embedded.locks import POLL_S, open_lock, taken


class AlreadyRunningError(Exception):
    """Another stack runs in this data folder."""


@contextmanager
def claimed(home: Path) -> Iterator[None]:
    """Hold the data folder for our process, with nothing of a crashed run alive in it.

    Raises AlreadyRunningError at once if somebody holds it. The kernel ends the claim with the process.
    """
    with open_lock(home / "lock") as lock:
        if not taken(lock):
            raise AlreadyRunningError(f"Scrip's servers already run in {home} ({_describe(_holder(home))}).")
        leftovers.end_leftovers(home / "run")
        leftovers.note(_owner(home), os.getpid())
        try:
            yield
        finally:
            _owner(home).unlink(missing_ok=True)


def stop_running(home: Path, *, patience_s: float = 30) -> bool:
    """Stop the stack of this data folder, whoever started it, and what a crashed one left; False if there was none.

    A stack that does not stop in time is killed; raises AlreadyRunningError if even that does not free the folder.
    """
    with open_lock(home / "lock") as lock:
        running = not taken(lock)
        if running:
            _end_holder(home, lock, patience_s)
        return bool(leftovers.end_leftovers(home / "run")) or running


def _end_holder(home: Path, lock: IO[str], patience_s: float) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        if holder := _holder(home):
            holder.send_signal(how)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if taken(lock):
                return
            time.sleep(POLL_S)
    raise AlreadyRunningError(f"What runs in {home} ({_describe(_holder(home))}) does not stop.")


def _owner(home: Path) -> Path:
    return home / "owner.json"


def _holder(home: Path) -> psutil.Process | None:
    return leftovers.noted(_owner(home))


def _describe(holder: psutil.Process | None) -> str:
    return f"process {holder.pid}" if holder else "just starting or stopping"
