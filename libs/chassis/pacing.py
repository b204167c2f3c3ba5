"""Long work in small steps with pauses between them, so that others have the machine in the meantime."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def paced(parts: Iterable[_T], *, share: float) -> AsyncIterator[_T]:
    """Give one part after the other, each as long after the one before as leaves no more than a share of the time."""
    loop = asyncio.get_running_loop()
    took = 0.0
    for part in parts:
        if took:
            await asyncio.sleep(took / share - took)
        began = loop.time()
        yield part
        took = loop.time() - began
