"""Promo codes, which staff put and retire."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.base import Limit, Page
from libs.contracts.http.promo_codes_v1 import PromoCodeCounted
from libs.contracts.promo_codes import PromoCodeName, PromoTerms
from services.payments.operations import promo_codes


def routes(pool: Pool, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.get("/promo-codes", operation_id="listPromoCodes")
    async def list_promo_codes(
        limit: Limit = 20, cursor: Annotated[PromoCodeName | None, Query()] = None
    ) -> Page[PromoCodeCounted]:
        """List all promo codes in alphabetical order, each with how often it was redeemed."""
        return await promo_codes.list_promo_codes(pool, limit=limit, cursor=cursor)

    @router.put("/promo-codes/{code}", operation_id="putPromoCode")
    async def put_promo_code(code: PromoCodeName, terms: PromoTerms) -> PromoCodeCounted:
        """Have a promo code be active on these terms; repeating it changes nothing."""
        return await promo_codes.put_promo_code(pool, code, terms, clock=clock)

    @router.delete("/promo-codes/{code}", operation_id="retirePromoCode")
    async def retire_promo_code(code: PromoCodeName) -> PromoCodeCounted:
        """Have a promo code be active no more; it stays in the list, and what is redeemed stays so."""
        return await promo_codes.retire_promo_code(pool, code, clock=clock)

    return router
