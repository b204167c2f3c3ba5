"""Leases: work that is metered and settled as it goes on."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.idempotency import Answer
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.lean_routes import LeanRoute
from libs.contracts.http.leases_v1 import HeartbeatOrder, LeaseChanged, LeaseOrder
from libs.contracts.ids import AccountId, HoldId
from services.credits.operations.leases import Leases

Account = Annotated[AccountId, Query()]


def routes(leases: Leases, clock: Clock) -> APIRouter:
    """Make the routes; a lease is shown and listed as a hold."""
    router = APIRouter(prefix="/internal/v1/leases", dependencies=[Depends(calling_service)], route_class=LeanRoute)

    @router.post("", operation_id="beginLease", status_code=201, response_model=LeaseChanged)
    async def begin_lease(order: LeaseOrder, caller: Caller, key: IdempotencyKey) -> Answer:
        """Reserve credits ahead for work whose cost is not known before; 402 if there are not enough."""
        return await leases.begin(order, now=clock.now(), caller=caller, key=key)

    @router.post("/{lease}/heartbeat", operation_id="heartbeat", status_code=201, response_model=LeaseChanged)
    async def heartbeat(
        lease: HoldId, account: Account, order: HeartbeatOrder, caller: Caller, key: IdempotencyKey
    ) -> Answer:
        """Settle what was used so far, reserve ahead again, and live on."""
        return await leases.beat(lease, order, account=account, now=clock.now(), caller=caller, key=key)

    @router.post("/{lease}/close", operation_id="closeLease", status_code=201, response_model=LeaseChanged)
    async def close_lease(
        lease: HoldId, account: Account, order: HeartbeatOrder, caller: Caller, key: IdempotencyKey
    ) -> Answer:
        """Settle what was used in the end, and free the rest."""
        return await leases.close(lease, order, account=account, caller=caller, key=key)

    return router
