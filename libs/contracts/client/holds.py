"""A hold while a job runs: kept alive by heartbeats, captured in steps, released in the end."""

import asyncio
import logging
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Self
from uuid import UUID

from ..http.base import Request
from ..http.spending_v1 import CaptureOrder, ExtendOrder, HoldChanged, HoldState, NewHold
from ..ids import new_id, show
from .gateway import Gateway
from .orders import order_of, written
from .refusals import CreditsClientError, CreditsUnavailableError, RefusedError

_BEATS_A_LIFE = 3
_MARGIN_SECONDS = 2

log = logging.getLogger(__name__)


class ActiveHold:
    """Reserved credits; `CreditsClient.hold` makes it, as a context manager.

    Entering places the hold. While the block runs it is extended in the background, until its `ends_by` at most.
    Leaving releases what was not captured, however the block ends; if that cannot be told, the hold frees itself when
    it expires.
    """

    def __init__(self, gateway: Gateway, order: NewHold, *, account: str, key: str) -> None:
        self._gateway = gateway
        self._order = order
        self._account = {"account": account}
        self._key = key
        self._last: HoldChanged | None = None
        self._placed_seconds = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._one_speaks = asyncio.Lock()

    @property
    def id(self) -> UUID:
        """The hold's id."""
        id: UUID = self._known.id
        return id

    @property
    def state(self) -> HoldState:
        """How it stood when the gateway last spoke of it."""
        return self._known.state

    @property
    def reserved(self) -> int:
        """How much it reserved at first, in micro-credits."""
        return self._known.reserved

    @property
    def held(self) -> int:
        """How much it still reserves, in micro-credits."""
        return self._known.held

    @property
    def captured(self) -> int:
        """How much was burnt, in micro-credits."""
        return self._known.captured

    async def capture(
        self, amount: Decimal | str, *, final: bool = False, idempotency_key: str | None = None
    ) -> HoldChanged:
        """Burn what the work, or a step of it, cost; `final` frees the rest at once.

        Who may capture the same step twice, as after a crash, gives it an idempotency key of his own. Raises
        InvalidOrderError, CreditsUnavailableError; CaptureTooLargeError, HoldExpiredError and other refusals.
        """
        order = order_of(CaptureOrder, amount=written(amount), final=final)
        return await self._have("capture", order, key=idempotency_key or str(new_id()))

    async def __aenter__(self) -> Self:
        """Place the hold. Raises InsufficientCreditsError and other refusals, CreditsUnavailableError."""
        self._last = await self._gateway.post("/v1/holds", self._order, HoldChanged, key=self._key)
        self._placed_seconds = asyncio.get_running_loop().time()
        self._beating = asyncio.create_task(self._beat(), name="scrip-hold")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release what is left."""
        await self._stop_beating()
        if self.state != "pending":
            return
        try:
            await self._have("release", Request(), key=f"{show('hold', self.id)}-release")
        except CreditsClientError as failed:
            log.warning("hold %s was not released, it frees itself: %s", show("hold", self.id), failed)

    async def _stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    async def _have(self, verb: str, order: Request, *, key: str) -> HoldChanged:
        path = f"/v1/holds/{show('hold', self.id)}/{verb}"
        async with self._one_speaks:  # so that the last answer tells the latest state
            self._last = await self._gateway.post(path, order, HoldChanged, key=key, params=self._account)
            return self._last

    async def _beat(self) -> None:
        """Extend by the hold's first life, three times within it; a refusal is told by the next capture too."""
        life = int((self._known.expires_at - self._known.placed_at).total_seconds())
        longest = (self._known.ends_by - self._known.placed_at).total_seconds()
        pause_seconds = life / _BEATS_A_LIFE
        while True:
            await asyncio.sleep(pause_seconds)
            passed = asyncio.get_running_loop().time() - self._placed_seconds
            seconds = min(life, int(longest - passed) - _MARGIN_SECONDS)
            if self.state != "pending" or seconds <= 0:
                return
            try:
                await self._have("extend", order_of(ExtendOrder, expires_in=seconds), key=str(new_id()))
            except CreditsUnavailableError as error:
                log.warning("hold %s is not extended yet: %s", show("hold", self.id), error)
            except RefusedError as error:
                log.warning("hold %s is extended no more: %s", show("hold", self.id), error)
                return

    @property
    def _known(self) -> HoldChanged:
        if self._last is None:
            raise CreditsClientError("the hold is not placed; use it as `async with credits.hold(...) as hold`")
        return self._last
