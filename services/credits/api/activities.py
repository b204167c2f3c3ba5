"""Activities: what earns credits."""

from fastapi import APIRouter, Depends

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.grants_v1 import ActivityAward, ActivityReport
from services.credits.operations import activities
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/activities", dependencies=[Depends(calling_service)])

    @router.post("", operation_id="earn")
    async def earn(report: ActivityReport) -> ActivityAward:
        """Give what an activity earns, once for a reference; 422 once the account earned as often as it may."""
        return await activities.earn(pool, ledger, clock, report, activities=catalogue.activities)

    return router
