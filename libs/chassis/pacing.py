"""Long work in small steps with pauses between them, so that others have the machine in the meantime."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def paced(parts: Iterable[_T], *, pauses: int) -> AsyncIterator[_T]:
    """Give one part after the other, with a pause between two that is so many times as long as the first one took."""
    loop = asyncio.get_running_loop()
    took = 0.0
    for part in parts:
        if took:
            await asyncio.sleep(pauses * took)
        began = loop.time()
        yield part
        took = loop.time() - began
