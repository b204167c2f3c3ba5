"""How far the books are compared, and what does not agree."""

from fastapi import APIRouter, Depends

from libs.chassis.internal_api import Caller, calling_service
from libs.contracts.http.reconciliation_v1 import Finding, Reconciliation, ResolveFinding, StepDone, StepOrder
from libs.contracts.ids import FindingId
from services.payments.operations import findings, reconciling
from services.payments.operations.findings import Sides


def routes(sides: Sides) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.get("/reconciliation", operation_id="getReconciliation")
    async def reconciliation() -> Reconciliation:
        """Tell how far the books are compared, and what does not agree."""
        return await reconciling.show(sides)

    @router.post("/reconciliation/steps", operation_id="reconcile")
    async def step(order: StepOrder, caller: Caller) -> StepDone:
        """Compare the next page of a full pass, or begin one; staff only."""
        return await reconciling.step(sides, order, caller=caller)

    @router.post("/reconciliation/findings/{finding}/resolve", operation_id="resolveFinding")
    async def resolve(finding: FindingId, order: ResolveFinding, caller: Caller) -> Finding:
        """Say why something that does not agree may stay so; staff only."""
        return await findings.resolve(sides.pool, finding, reason=order.reason, caller=caller, clock=sides.clock)

    return router
