"""Rejected usage, for staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.base import Page
from libs.contracts.http.rejections_v1 import Rejection, RejectionName, RejectionQuery, ReplayOrder
from services.credits.operations import rejections
from services.credits.operations.rejections import Replayer

Id = Annotated[RejectionName, Path()]


def routes(pool: Pool, replayer: Replayer) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/rejected-usage", dependencies=[Depends(calling_service)])

    @router.get("/{id}", operation_id="getRejectedUsage")
    async def show_rejected_usage(id: Id) -> Rejection:
        """Show a usage event that was rejected, as it came, and why."""
        return await rejections.show(pool, id)

    @router.post("/{id}/replay", operation_id="replayRejectedUsage")
    async def replay_rejected_usage(id: Id, order: ReplayOrder, caller: Caller) -> Rejection:
        """Burn it after all, as it came or corrected, by the prices of its own time; once for an event."""
        return await replayer.replay(id, order, by=caller)

    listing = APIRouter(dependencies=[Depends(calling_service)])

    @listing.get("/internal/v1/rejected-usage", operation_id="listRejectedUsage")
    async def list_rejected_usage(query: Annotated[RejectionQuery, Query()]) -> Page[Rejection]:
        """List rejected usage, newest first."""
        return await rejections.show_all(pool, query)

    listing.include_router(router)
    return listing
