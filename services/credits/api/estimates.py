"""Estimates: what a charge would cost."""

from fastapi import APIRouter, Depends

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.spending_v1 import Estimate, EstimateOrder
from services.credits.operations import estimates
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, clock: Clock, prices: ActivePrices) -> APIRouter:
    """Make the route."""
    router = APIRouter(prefix="/internal/v1/estimates", dependencies=[Depends(calling_service)])

    @router.post("", operation_id="estimate")
    async def estimate(order: EstimateOrder, caller: Caller) -> Estimate:
        """Tell what a charge would cost an account, by which rules, and whether it could be made now."""
        return await estimates.estimate(pool, ledger, await prices.now(), order, at=clock.now(), caller=caller)

    return router
