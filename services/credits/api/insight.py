"""Insight: where an account's credits went."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.insight_v1 import UsageQuery, UsageSummary
from services.credits.api.paths import Account
from services.credits.operations import insight


def routes(pool: Pool) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/accounts/{account}", dependencies=[Depends(calling_service)])

    @router.get("/usage", operation_id="sumUsage")
    async def sum_usage(account: Account, query: Annotated[UsageQuery, Query()]) -> UsageSummary:
        """Say where an account's credits went, by day, meter, who used it, or a property."""
        return await insight.summary(pool, account, query)

    return router
