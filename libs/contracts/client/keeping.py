"""What holds and leases have in common while a block runs: heartbeats keep them alive in the background."""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar
from uuid import UUID

from ..http.base import Request
from ..http.spending_v1 import HoldChanged
from ..ids import show
from .gateway import Gateway
from .refusals import CreditsClientError, CreditsUnavailableError, RefusedError

_BEATS_A_LIFE = 3

log = logging.getLogger(__name__)

Order = TypeVar("Order", bound=Request)
Told = TypeVar("Told", bound=HoldChanged)


class KeptAlive(Generic[Order, Told]):
    """Reserved credits, from entering a block to leaving it."""

    _kind: str
    _told: type[Told]

    def __init__(self, gateway: Gateway, order: Order, *, account: str, key: str) -> None:
        self._gateway = gateway
        self._order = order
        self._account = {"account": account}
        self._key = key
        self._last: Told | None = None
        self._lost = False
        self._begun_seconds = 0.0
        self._life_seconds = 0
        self._beating: asyncio.Task[None] | None = None
        self._one_speaks = asyncio.Lock()

    @property
    def id(self) -> UUID:
        """The hold's id; a lease is a hold."""
        id: UUID = self._known.id
        return id

    @property
    def captured(self) -> int:
        """How much was burnt so far, in micro-credits."""
        return self._known.captured

    async def __aenter__(self) -> Self:
        """Reserve. Raises InsufficientCreditsError and other refusals, CreditsUnavailableError."""
        self._last = await self._gateway.post(f"/v1/{self._kind}s", self._order, self._told, key=self._key)
        self._begun_seconds = asyncio.get_running_loop().time()
        self._life_seconds = self._seconds_of_life()
        self._beating = asyncio.create_task(self._keep_alive(), name=f"scrip-{self._kind}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle it, and free the rest."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        if not self._open:
            return
        try:
            await self._end()
        except CreditsClientError as failed:
            log.warning("%s %s was not ended, it ends by itself: %s", self._kind, self._name, failed)

    async def _keep_alive(self) -> None:
        pause_seconds = self._life_seconds / _BEATS_A_LIFE
        while True:
            await asyncio.sleep(pause_seconds)
            try:
                if not await self._beat():
                    return
            except CreditsUnavailableError as error:
                log.warning("%s %s is not kept alive yet: %s", self._kind, self._name, error)
            except RefusedError as error:
                log.warning("%s %s is kept alive no more: %s", self._kind, self._name, error)
                self._lost = True
                return

    @property
    def _open(self) -> bool:
        """Whether there was something to settle when the gateway last spoke."""
        return self._known.state == "pending"

    def _seconds_of_life(self) -> int:
        """Tell how long it lives without a heartbeat."""
        raise NotImplementedError

    async def _beat(self) -> bool:
        """Send a heartbeat; False if there will be no other."""
        raise NotImplementedError

    async def _end(self) -> None:
        raise NotImplementedError

    async def _ask(self, verb: str, order: Request, *, key: str) -> Told:
        """Have it changed. Who asks is the one who speaks, so that the last answer tells the latest state."""
        path = f"/v1/{self._kind}s/{self._name}/{verb}"
        self._last = await self._gateway.post(path, order, self._told, key=key, params=self._account)
        return self._last

    @property
    def _name(self) -> str:
        return show("hold", self.id)

    @property
    def _known(self) -> Told:
        if self._last is None:
            usage = f"async with credits.{self._kind}(...) as {self._kind}"
            raise CreditsClientError(f"the {self._kind} has not begun; use it as `{usage}`")
        return self._last
