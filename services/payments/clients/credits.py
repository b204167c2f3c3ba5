"""The credits service: whether an account may buy so much, and what is there of what was bought."""

from collections.abc import Sequence
from uuid import UUID

from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.events.payments_v1 import LotToTakeBack
from libs.contracts.http.limits_v1 import PurchaseAllowed, PurchaseCheck
from libs.contracts.http.returns_v1 import (
    GrantedLots,
    LotsAsked,
    PurchaseLots,
    RedeemedLots,
    SetAside,
    SetAsideOrder,
    VoucherLotsAsked,
)


class CreditsClient:
    """Asks credits. Every call raises RemoteError, or UnavailableError if credits does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def check_purchase(self, account: UUID, credits: int, *, caller: str) -> None:
        """See that an account may buy so many credits, a bonus included. Raises RemoteError, PAY006, if not."""
        path = f"/accounts/{ids.show('account', account)}/purchase-check"
        asked = PurchaseCheck.model_validate({"credits": format_credits(credits)})
        await self._service.post(path, asked, PurchaseAllowed, caller=caller)

    async def remaining(self, account: UUID, purchase: UUID) -> dict[str, int]:
        """Tell how many credits are left of each kind that a purchase brought; none before credits heard of it."""
        path = f"/accounts/{ids.show('account', account)}/purchases/{ids.show('purchase', purchase)}/lots"
        return {lot.kind: lot.remaining for lot in (await self._service.get(path, PurchaseLots)).lots}

    async def set_aside(
        self, account: UUID, refund: UUID, purchase: UUID, lots: Sequence[LotToTakeBack], *, whole: bool
    ) -> None:
        """Hold what goes back with a refund, once. Raises RemoteError: PAY046 if `whole` and it is spent, PAY010."""
        path = f"/accounts/{ids.show('account', account)}/refunds/{ids.show('refund', refund)}/set-aside"
        order = SetAsideOrder.model_validate(
            {
                "purchase": ids.show("purchase", purchase),
                "lots": [{"kind": lot.kind, "credits": format_credits(lot.credits)} for lot in lots],
                "whole": whole,
            }
        )
        await self._service.put(path, order, SetAside)

    async def brought_by(self, purchases: Sequence[UUID]) -> GrantedLots:
        """Tell which lots purchases brought; at most 500 purchases."""
        asked = LotsAsked.model_validate({"purchases": [ids.show("purchase", purchase) for purchase in purchases]})
        return await self._service.post("/purchase-lots", asked, GrantedLots, caller="service:payments")

    async def redeemed_by(self, vouchers: Sequence[UUID]) -> RedeemedLots:
        """Tell which lots redeemed vouchers and gift cards brought; at most 500 vouchers."""
        asked = VoucherLotsAsked.model_validate({"vouchers": [ids.show("voucher", voucher) for voucher in vouchers]})
        return await self._service.post("/voucher-lots", asked, RedeemedLots, caller="service:payments")

    async def bought_after(self, lot: str) -> GrantedLots:
        """Go through all lots by id: tell which of the next were bought or redeemed, and the last looked at."""
        return await self._service.get("/purchase-lots", GrantedLots, params={"after": lot})
