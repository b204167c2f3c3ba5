"""The credits service: what an account has, and spending it."""

from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from libs.chassis.errors import RemoteError
from libs.chassis.service_client import Done, ServiceClient
from libs.contracts import ids
from libs.contracts.errors import INSUFFICIENT_CREDITS
from libs.contracts.http.base import Page, Request
from libs.contracts.http.credits_v1 import Balance
from libs.contracts.http.leases_v1 import HeartbeatOrder, LeaseChanged, LeaseOrder
from libs.contracts.http.spending_v1 import (
    AccountTransferOrder,
    Charge,
    ChargeBatch,
    ChargeBatchDone,
    ChargeMade,
    ChargeOrder,
    ChargeRefunded,
    ChargeRefundOrder,
    Estimate,
    EstimateOrder,
    Hold,
    HoldChanged,
    HoldOrder,
    Transfer,
)

T = TypeVar("T", bound=BaseModel)
WHERE_TO_BUY = "/v1/packs"


class CreditsClient:
    """Asks credits about accounts. Every call raises RemoteError, or UnavailableError if credits does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def open_account(self, account: UUID) -> Balance:
        """Open an account's ledger, with its welcome bonus; a second time changes nothing."""
        return await self._service.put(_path(account), Request(), Balance)

    async def balance(self, account: UUID) -> Balance:
        """Ask for the balance."""
        return await self._service.get(f"{_path(account)}/balance", Balance)


class SpendingClient:
    """Has credits spent. Every call raises RemoteError, or UnavailableError if credits does not answer.

    Who changes something names the account: credits answers 404 for what is another's. A key acts once for its caller.
    """

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def estimate(self, order: EstimateOrder, *, caller: str) -> Estimate:
        """Ask what a charge would cost."""
        return await self._service.post("/estimates", order, Estimate, caller=caller)

    async def charge(self, order: ChargeOrder, *, caller: str, key: str) -> Done[ChargeMade]:
        """Burn credits."""
        return await self._once("/charges", order, ChargeMade, caller=caller, key=key)

    async def charge_many(self, order: ChargeBatch, *, caller: str, key: str) -> Done[ChargeBatchDone]:
        """Burn credits for many things, each decided by itself."""
        return await self._once("/charges/batch", order, ChargeBatchDone, caller=caller, key=key)

    async def show_charge(self, charge: UUID, *, account: UUID) -> Charge:
        """Ask for a charge."""
        return await self._service.get(f"/charges/{ids.show('charge', charge)}", Charge, params=_owner(account))

    async def refund_charge(
        self, charge: UUID, order: ChargeRefundOrder, *, account: UUID, caller: str, key: str
    ) -> Done[ChargeRefunded]:
        """Give back what a charge burnt."""
        path = f"/charges/{ids.show('charge', charge)}/refunds"
        return await self._once(path, order, ChargeRefunded, caller=caller, key=key, account=account)

    async def place_hold(self, order: HoldOrder, *, caller: str, key: str) -> Done[HoldChanged]:
        """Reserve credits."""
        return await self._once("/holds", order, HoldChanged, caller=caller, key=key)

    async def change_hold(
        self, hold: UUID, verb: str, order: Request, *, account: UUID, caller: str, key: str
    ) -> Done[HoldChanged]:
        """Capture, extend or release a hold."""
        path = f"/holds/{ids.show('hold', hold)}/{verb}"
        return await self._once(path, order, HoldChanged, caller=caller, key=key, account=account)

    async def show_hold(self, hold: UUID, *, account: UUID) -> Hold:
        """Ask for a hold."""
        return await self._service.get(f"/holds/{ids.show('hold', hold)}", Hold, params=_owner(account))

    async def holds(self, account: UUID, **wanted: str | int | None) -> Page[Hold]:
        """Ask for a page of holds, newest first."""
        return await self._service.get("/holds", Page[Hold], params=_owner(account) | wanted)

    async def begin_lease(self, order: LeaseOrder, *, caller: str, key: str) -> Done[LeaseChanged]:
        """Reserve credits ahead."""
        return await self._once("/leases", order, LeaseChanged, caller=caller, key=key)

    async def change_lease(
        self, lease: UUID, verb: str, order: HeartbeatOrder, *, account: UUID, caller: str, key: str
    ) -> Done[LeaseChanged]:
        """Settle what a lease has used; its verb is heartbeat or close."""
        path = f"/leases/{ids.show('hold', lease)}/{verb}"
        return await self._once(path, order, LeaseChanged, caller=caller, key=key, account=account)

    async def transfer(self, order: AccountTransferOrder, *, caller: str, key: str) -> Done[Transfer]:
        """Give credits to another account."""
        return await self._once("/transfers", order, Transfer, caller=caller, key=key)

    async def _once(
        self, path: str, order: Request, answer: type[T], *, caller: str, key: str, account: UUID | None = None
    ) -> Done[T]:
        params = _owner(account) if account else None
        try:
            return await self._service.post_once(path, order, answer, caller=caller, idempotency_key=key, params=params)
        except RemoteError as error:
            if error.code == INSUFFICIENT_CREDITS:
                error.facts["buy"] = WHERE_TO_BUY
            raise


def _path(account: UUID) -> str:
    return f"/accounts/{ids.show('account', account)}"


def _owner(account: UUID) -> dict[str, str | int | None]:
    return {"account": ids.show("account", account)}
