"""Reports on the money that moved, which staff alone may ask for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.internal_api import calling_service, calling_staff
from libs.chassis.pool import Pool
from libs.contracts.http.base import Page
from libs.contracts.http.reports_v1 import (
    GiftCardRow,
    MovementQuery,
    MovementRow,
    PromoCodeRow,
    Report,
    ReportQuery,
    RevenueRow,
    SalesRow,
    TriesRow,
)
from services.payments.operations import reports

Asked = Annotated[ReportQuery, Query()]


def routes(pool: Pool, *, livemode: bool) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/reports", dependencies=[Depends(calling_service), Depends(calling_staff)])

    @router.get("/revenue", operation_id="reportRevenue")
    async def revenue(query: Asked) -> Report[RevenueRow]:
        """Tell what was paid, what went back, and what Stripe kept and left of it; staff only."""
        return await reports.revenue(pool, query, livemode=livemode)

    @router.get("/sales", operation_id="reportSales")
    async def sales(query: Asked) -> Report[SalesRow]:
        """Tell what packs, gift cards and custom amounts sold; staff only."""
        return await reports.sales(pool, query, livemode=livemode)

    @router.get("/promo-codes", operation_id="reportPromoCodes")
    async def promo_code_report(query: Asked) -> Report[PromoCodeRow]:
        """Tell what was paid with promo codes, what they took off and brought; staff only."""
        return await reports.promo_codes(pool, query, livemode=livemode)

    @router.get("/payment-tries", operation_id="reportPaymentTries")
    async def tries(query: Asked) -> Report[TriesRow]:
        """Tell how often paying went well; staff only."""
        return await reports.tries(pool, query, livemode=livemode)

    @router.get("/gift-cards", operation_id="reportGiftCards")
    async def gift_card_report(query: Asked) -> Report[GiftCardRow]:
        """Tell what was paid for gift cards that nobody has redeemed yet, and what became of it; staff only."""
        return await reports.gift_cards(pool, query, livemode=livemode)

    @router.get("/movements", operation_id="listMovements")
    async def movements(query: Annotated[MovementQuery, Query()]) -> Page[MovementRow]:
        """List the money that moved, of which the other reports are the sums, oldest first; staff only."""
        return await reports.movements(pool, query, livemode=livemode)

    return router
