"""A lease while work goes on: heartbeats tell what was used so far, and settle it."""

from decimal import Decimal

from ..http.leases_v1 import HeartbeatOrder, LeaseChanged, NewLease
from ..ids import new_id
from .gateway import Gateway
from .keeping import KeptAlive
from .orders import order_of
from .refusals import InvalidOrderError


class ActiveLease(KeptAlive[NewLease, LeaseChanged]):
    """Work that is settled as it goes on; `CreditsClient.lease` makes it, as a context manager.

    Entering reserves credits ahead. While the block runs, what it has said it used is told in the background, three
    times within the life that a heartbeat gives. Leaving settles what was used in the end and frees the rest; if that
    cannot be told, what the last heartbeat told is settled, and the rest is free once the life has ended.
    """

    _kind = "lease"
    _told = LeaseChanged

    def __init__(self, gateway: Gateway, order: NewLease, *, account: str, key: str) -> None:
        super().__init__(gateway, order, account=account, key=key)
        self._used = Decimal(0)

    @property
    def go_on(self) -> bool:
        """Whether credits were reserved ahead when the gateway last spoke: if not, stop the work."""
        return self._open and self._known.held > 0

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

    @property
    def _open(self) -> bool:
        return super()._open and not self._lost

    def _seconds_of_life(self) -> int:
        return self._order.heartbeat_seconds

    async def _beat(self) -> bool:
        await self._tell("heartbeat")
        return True

    async def _end(self) -> None:
        """Settle what was used in the end, and free the rest."""
        await self._tell("close")

    async def _tell(self, verb: str) -> LeaseChanged:
        async with self._one_speaks:
            return await self._ask(verb, order_of(HeartbeatOrder, quantity=self._used), key=str(new_id()))
