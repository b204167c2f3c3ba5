"""SIGINT and SIGTERM end a program in order."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a cancellation of the calling task, and ignore more while it cleans up.

    Leaves quietly after such a cancellation; one that comes from elsewhere passes.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if task and not interrupted:
            interrupted = True
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
