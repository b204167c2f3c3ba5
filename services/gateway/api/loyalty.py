"""Loyalty tiers of a signed-in user's account; payments knows what it spent."""

from typing import Annotated

from fastapi import APIRouter, Depends

from libs.contracts.http.payments_v1 import LoyaltyStanding
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser


def routes(door: Door, payments: PaymentsClient) -> APIRouter:
    """Make the route by which users see their tier."""
    router = APIRouter(prefix="/v1/loyalty", tags=["purchases"])

    @router.get("", operation_id="getLoyalty", summary="The account's loyalty tier", responses=problems(401, 403))
    async def standing(user: Annotated[SignedInUser, Depends(door.user)]) -> LoyaltyStanding:
        """Tell which tier the account has by its lifetime spend, and what is left to the next one."""
        return await payments.loyalty(user)

    return router
