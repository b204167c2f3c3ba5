"""Waiting for what must happen; a test's own timeout ends a vain wait."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that can be seen in memory."""
    while not condition():  # noqa: ASYNC110 - other tasks bring it about
        await asyncio.sleep(0.005)


async def until_found(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so that must be asked for."""
    while not await look():  # noqa: ASYNC110 - servers bring it about
        await asyncio.sleep(0.01)
