"""A hold while a job runs: kept alive by heartbeats, captured in steps, released in the end."""

import asyncio
from decimal import Decimal

from ..http.base import Request
from ..http.spending_v1 import CaptureOrder, ExtendOrder, HoldChanged, HoldState, NewHold
from ..ids import new_id
from .keeping import KeptAlive
from .orders import order_of, written

_MARGIN_SECONDS = 2


class ActiveHold(KeptAlive[NewHold, HoldChanged]):
    """Reserved credits; `CreditsClient.hold` makes it, as a context manager.

    Entering places the hold. While the block runs it is extended in the background, until its `ends_by` at most.
    Leaving releases what was not captured, however the block ends; if that cannot be told, the hold frees itself when
    it expires.
    """

    _kind = "hold"
    _told = HoldChanged

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

    async def capture(
        self, amount: Decimal | str, *, final: bool = False, idempotency_key: str | None = None
    ) -> HoldChanged:
        """Burn what the work, or a step of it, cost; `final` frees the rest at once.

        Who may capture the same step twice, as after a crash, gives it an idempotency key of his own. Raises
        InvalidOrderError, CreditsUnavailableError; CaptureTooLargeError, HoldExpiredError and other refusals.
        """
        order = order_of(CaptureOrder, amount=written(amount), final=final)
        return await self._have("capture", order, key=idempotency_key or str(new_id()))

    def _seconds_of_life(self) -> int:
        return int((self._known.expires_at - self._known.placed_at).total_seconds())

    async def _beat(self) -> bool:
        """Extend by the hold's first life; a refusal is told by the next capture too."""
        longest = (self._known.ends_by - self._known.placed_at).total_seconds()
        passed = asyncio.get_running_loop().time() - self._begun_seconds
        seconds = min(self._life_seconds, int(longest - passed) - _MARGIN_SECONDS)
        if not self._open or seconds <= 0:
            return False
        await self._have("extend", order_of(ExtendOrder, expires_in=seconds), key=str(new_id()))
        return True

    async def _end(self) -> None:
        """Release what is left."""
        await self._have("release", Request(), key=f"{self._name}-release")

    async def _have(self, verb: str, order: Request, *, key: str) -> HoldChanged:
        async with self._one_speaks:
            return await self._ask(verb, order, key=key)
