"""Questions to a server that may not answer yet."""

import asyncio
from contextlib import suppress

import httpx2


async def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on this port of the loopback interface."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):  # it may have hung up first
        await writer.wait_closed()
    return True


async def answers(url: str) -> bool:
    """Tell whether a GET of this http address succeeds (2xx) within a second."""
    try:
        # Without TLS there is nobody to verify; reading whom to trust would keep a core busy, as we ask all the time.
        async with httpx2.AsyncClient(timeout=1, verify=False) as client:
            return (await client.get(url)).is_success
    except httpx2.HTTPError:
        return False
