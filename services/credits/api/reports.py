"""Reports for finance, which staff alone may ask for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.internal_api import calling_service, calling_staff
from libs.chassis.pool import Pool
from libs.contracts.http.reports_v1 import DeferredRow, Report, ReportQuery
from services.credits.operations import reports


def routes(pool: Pool) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/reports", dependencies=[Depends(calling_service), Depends(calling_staff)])

    @router.get("/deferred", operation_id="reportDeferred")
    async def report_deferred(query: Annotated[ReportQuery, Query()]) -> Report[DeferredRow]:
        """Tell what was paid for credits that are not used yet, and what became of it, by day or month."""
        return await reports.deferred(pool, query)

    return router
