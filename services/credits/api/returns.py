"""Lots that were bought or redeemed: what is left of a purchase's, setting it aside, and all of them to compare."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.returns_v1 import (
    GrantedLots,
    LotsAsked,
    PurchaseLots,
    RedeemedLots,
    SetAside,
    SetAsideOrder,
    VoucherLotsAsked,
)
from libs.contracts.ids import LotId
from services.credits.api.paths import Account, Purchase, Refund
from services.credits.operations import returns
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.post("/purchase-lots", operation_id="findPurchaseLots")
    async def brought_by(asked: LotsAsked) -> GrantedLots:
        """Tell which lots purchases brought; at most 500 purchases."""
        return await returns.brought_by(pool, asked.purchases)

    @router.get("/purchase-lots", operation_id="listBoughtLots")
    async def bought_after(after: Annotated[LotId | None, Query()] = None) -> GrantedLots:
        """Go through all lots by id, 500 at once, and tell those that were bought or came of vouchers."""
        return await returns.bought_after(pool, after)

    @router.post("/voucher-lots", operation_id="findVoucherLots")
    async def redeemed_by(asked: VoucherLotsAsked) -> RedeemedLots:
        """Tell which lots redeemed vouchers and gift cards brought; at most 500 vouchers."""
        return await returns.redeemed_by(pool, asked.vouchers)

    @router.get("/accounts/{account}/purchases/{purchase}/lots", operation_id="listPurchaseLots")
    async def purchase_lots(account: Account, purchase: Purchase) -> PurchaseLots:
        """Tell what is left of what a purchase brought."""
        return await returns.lots_of(pool, account, purchase)

    @router.put("/accounts/{account}/refunds/{refund}/set-aside", operation_id="setAside")
    async def set_aside(account: Account, refund: Refund, order: SetAsideOrder) -> SetAside:
        """Hold what a refund may take, before the money moves; again changes nothing."""
        return await returns.set_aside(pool, ledger, clock, account, refund=refund, order=order)

    return router
