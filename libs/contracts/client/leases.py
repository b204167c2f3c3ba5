"""A lease while work goes on: heartbeats tell what was used so far, and settle it."""

import asyncio
import logging
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Self
from uuid import UUID

from ..http.leases_v1 import HeartbeatOrder, LeaseChanged, NewLease
from ..ids import new_id, show
from .gateway import Gateway
from .orders import order_of
from .refusals import CreditsClientError, CreditsUnavailableError, InvalidOrderError, RefusedError

_BEATS_A_LIFE = 3

log = logging.getLogger(__name__)


class ActiveLease:
    """Work that is settled as it goes on; `CreditsClient.lease` makes it, as a context manager.

    Entering reserves credits ahead. While the block runs, what it has said it used is told in the background, three
    times within the life that a heartbeat gives. Leaving settles what was used in the end and frees the rest; if that
    cannot be told, what the last heartbeat told is settled, and the rest is free once the life has ended.
    """

    def __init__(self, gateway: Gateway, order: NewLease, *, account: str, key: str) -> None:
        self._gateway = gateway
        self._order = order
        self._account = {"account": account}
        self._key = key
        self._last: LeaseChanged | None = None
        self._used = Decimal(0)
        self._lost = False
        self._beating: asyncio.Task[None] | None = None
        self._one_speaks = asyncio.Lock()

    @property
    def id(self) -> UUID:
        """The lease's id, which is a hold's."""
        id: UUID = self._known.id
        return id

    @property
    def go_on(self) -> bool:
        """Whether credits were reserved ahead when the gateway last spoke: if not, stop the work."""
        return not self._lost and self._known.state == "pending" and self._known.held > 0

    @property
    def captured(self) -> int:
        """How much was burnt so far, in micro-credits."""
        return self._known.captured

    @property
    def used(self) -> Decimal:
        """How much was used so far, in the meter's unit."""
        return self._used

    def use(self, quantity: Decimal | int | str) -> None:
        """Note that so much more was used; the next heartbeat tells. Raises InvalidOrderError."""
        if isinstance(quantity, float):
            raise InvalidOrderError(f"quantity: {quantity!r} is not exact; give an int, a Decimal or a string")
        try:
            more = Decimal(quantity)
        except ArithmeticError as error:
            raise InvalidOrderError("quantity: not a decimal number") from error
        if not more.is_finite() or more < 0:
            raise InvalidOrderError("quantity: what was used is not less than nothing")
        self._used += more

    async def settle(self) -> LeaseChanged:
        """Tell now what was used so far. Raises CreditsUnavailableError; HoldExpiredError and other refusals."""
        return await self._tell("heartbeat")

    async def __aenter__(self) -> Self:
        """Reserve ahead. Raises InsufficientCreditsError and other refusals, CreditsUnavailableError."""
        self._last = await self._gateway.post("/v1/leases", self._order, LeaseChanged, key=self._key)
        self._beating = asyncio.create_task(self._beat(), name="scrip-lease")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle what was used in the end, and free the rest."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        if self._lost or self._known.state != "pending":
            return
        try:
            await self._tell("close")
        except CreditsClientError as failed:
            log.warning("lease %s was not closed, it ends by itself: %s", show("hold", self.id), failed)

    async def _tell(self, verb: str) -> LeaseChanged:
        path = f"/v1/leases/{show('hold', self.id)}/{verb}"
        async with self._one_speaks:  # so that the last answer tells the latest state
            order = order_of(HeartbeatOrder, quantity=self._used)
            self._last = await self._gateway.post(path, order, LeaseChanged, key=str(new_id()), params=self._account)
            return self._last

    async def _beat(self) -> None:
        pause_seconds = self._order.heartbeat_seconds / _BEATS_A_LIFE
        while True:
            await asyncio.sleep(pause_seconds)
            try:
                await self._tell("heartbeat")
            except CreditsUnavailableError as error:
                log.warning("lease %s is not settled yet: %s", show("hold", self.id), error)
            except RefusedError as error:
                log.warning("lease %s has ended: %s", show("hold", self.id), error)
                self._lost = True
                return

    @property
    def _known(self) -> LeaseChanged:
        if self._last is None:
            raise CreditsClientError("the lease has not begun; use it as `async with credits.lease(...) as lease`")
        return self._last
