"""Estimates: what a charge would cost; credits decides as it would decide the charge, and nothing happens."""

from typing import Annotated

from fastapi import APIRouter, Depends

from libs.contracts.http.spending_v1 import Estimate, EstimateOrder, NewEstimate
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.credits import SpendingClient
from services.gateway.domain.principals import Principal, account_of


def routes(door: Door, spending: SpendingClient) -> APIRouter:
    """Make the route by which a price is asked for before it is paid; who may spend or look may ask."""
    router = APIRouter(prefix="/v1/estimates", tags=["estimates"])
    asker = door.user_or_key_with("credits:read", "charges:write", "holds:write")

    @router.post(
        "",
        operation_id="createEstimate",
        summary="Estimate",
        responses=problems(401, 403, 404, 422),
    )
    async def estimate(order: NewEstimate, principal: Annotated[Principal, Depends(asker)]) -> Estimate:
        """Tell what a charge would cost and whether it could be made now. Nothing happens."""
        owned = EstimateOrder.model_construct(**{**dict(order), "account": account_of(principal, order.account)})
        return await spending.estimate(owned, caller=principal.caller)

    return router
