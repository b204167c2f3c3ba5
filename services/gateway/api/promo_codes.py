"""Promo codes, tried by signed-in users; payments decides. One is redeemed by a purchase that names it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from libs.chassis.pool import Pool
from libs.contracts.http.payments_v1 import Quote
from libs.contracts.http.promo_codes_v1 import PromoCodeCheck
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import purchases


def routes(door: Door, pool: Pool, payments: PaymentsClient) -> APIRouter:
    """Make the route by which users try a code."""
    router = APIRouter(prefix="/v1/promo-codes", tags=["purchases"])

    @router.post(
        "/validate",
        operation_id="validatePromoCode",
        summary="Try a promo code",
        responses=problems(401, 403, 422),
    )
    async def validate(
        check: PromoCodeCheck,
        request: Request,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
    ) -> Quote:
        """Tell what something would cost and bring with a code; nothing is redeemed. PAY003 if it cannot be used."""
        await door.count_code(user, request, response)
        return (await purchases.quote(pool, payments, user, check.order())).quote

    return router
