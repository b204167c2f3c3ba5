"""What is sold: the same for everybody, so it is kept for a while and asked for again now and then."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel

from libs.chassis.errors import UnavailableError
from libs.chassis.telemetry import log


@dataclass(frozen=True, slots=True)
class Copy:
    """A written answer and its entity tag."""

    body: bytes
    etag: str


class Shelf:
    """An answer of payments, kept for some seconds; for longer, rather than for nothing, while payments is away."""

    def __init__(self, ask: Callable[[], Awaitable[BaseModel]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._copy: Copy | None = None
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def copy(self) -> Copy:
        """Give the answer. Raises UnavailableError if payments is away and never answered before."""
        async with self._asking:
            if self._copy is None or time.monotonic() - self._asked > self._seconds:
                self._copy = await self._renewed()
                self._asked = time.monotonic()
            return self._copy

    async def _renewed(self) -> Copy:
        try:
            body = (await self._ask()).model_dump_json().encode()
        except UnavailableError as error:
            if self._copy is None:
                raise
            log.warning("catalogue.kept_for_longer", error=repr(error))
            return self._copy
        return Copy(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
