"""Work that is finished although whoever waits for it is cancelled: half of it would be worse than a short wait."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def finish(work: Coroutine[Any, Any, _T], *, within_seconds: float) -> _T:
    """Do the work. A cancellation lets it go on for so long, then cancels it; it goes to the caller in either case."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=within_seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
