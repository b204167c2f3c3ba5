"""The versions of the price book as a process knows them: each process knows a new one before it is active."""

import asyncio
from datetime import datetime, timedelta

from libs.chassis.clock import Clock
from libs.chassis.pool import TRANSIENT, Connection, Pool
from libs.chassis.telemetry import log
from services.credits.domain.pricing import Prices, Timeline
from services.credits.operations.usage import OLDEST
from services.credits.store import price_books as store

_FRESH = timedelta(seconds=10)
_RELIABLE = timedelta(seconds=50)
"""For how long versions that were read are all that can be active: a new one is made known a minute ahead."""
_PAST = OLDEST + timedelta(days=1)
"""For how long a version may still price usage that is told late."""


class ActivePrices:
    """The versions, compiled once; read anew when somebody asks and ten seconds have gone."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._compiled: dict[str, Prices] = {}
        self._timeline: Timeline
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()

    async def timeline(self) -> Timeline:
        """Give all versions by which a usage until now may be priced. Raises TRANSIENT if they cannot be known."""
        if not self._are_younger_than(_FRESH):
            async with self._reading:
                if not self._are_younger_than(_FRESH):
                    await self._refresh()
        return self._timeline

    async def now(self) -> Prices:
        """Give the version that is active. Raises as `timeline` does."""
        return (await self.timeline()).at(self._clock.now())

    async def timeline_since(self, instant: datetime) -> Timeline:
        """Give also those by which a usage of that time may be priced, however long ago that is."""
        async with self._pool.connection() as conn:
            return await self._compile(conn, since=instant)

    async def version(self, name: str) -> Prices:
        """Give a version that was activated once, however long ago. Raises KeyError if none has this name."""
        if name not in self._compiled:
            async with self._pool.connection() as conn:
                found = await store.version(conn, name)
            if found is None:
                raise KeyError(name)
            self._compiled[name] = Prices(found.book)
        return self._compiled[name]

    def _are_younger_than(self, age: timedelta) -> bool:
        return self._read_at is not None and timedelta() <= self._clock.now() - self._read_at < age

    async def _refresh(self) -> None:
        try:
            await self._read()
        except TRANSIENT as error:
            if not self._are_younger_than(_RELIABLE):
                raise
            log.warning("prices.not_refreshed", error=repr(error))

    async def _read(self) -> None:
        now = self._clock.now()
        async with self._pool.connection() as conn:
            self._timeline = await self._compile(conn, since=now - _PAST)
        self._read_at = now

    async def _compile(self, conn: Connection, *, since: datetime) -> Timeline:
        """Read which versions were active since an instant, and compile those that are not yet."""
        names = await store.names(conn)
        first = max((number for number, (_, active_from) in enumerate(names) if active_from <= since), default=0)
        wanted = names[first:]
        if unknown := [name for name, _ in wanted if name not in self._compiled]:
            for version in await store.versions(conn, unknown):
                self._compiled[version.book.version] = Prices(version.book)
        return Timeline([(active_from, self._compiled[name]) for name, active_from in wanted])
