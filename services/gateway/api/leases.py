"""Leases: services are settled by heartbeats for work whose cost is not known before."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.contracts.http.leases_v1 import HeartbeatOrder, LeaseChanged, LeaseOrder, NewLease
from libs.contracts.ids import HoldId
from services.gateway.api import problems
from services.gateway.api.changing import Change, change_with
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.credits import SpendingClient
from services.gateway.domain.principals import KeyHolder, account_of

_PROBLEMS = problems(400, 401, 402, 403, 404, 409, 422)


def routes(door: Door, spending: SpendingClient) -> APIRouter:
    """Make the routes by which work is settled as it goes on; a lease is looked at as a hold."""
    router = APIRouter(prefix="/v1/leases", tags=["leases"])
    _add_beginning(router, door, spending)
    _add_settling(router, door, spending)
    return router


def _add_beginning(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    worker = door.key_with("holds:write")

    @router.post("", operation_id="createLease", summary="Begin a lease", status_code=201, responses=_PROBLEMS)
    async def begin(
        order: NewLease,
        response: Response,
        holder: Annotated[KeyHolder, Depends(worker)],
        key: IdempotencyKey = None,
    ) -> LeaseChanged:
        """Reserve credits ahead for work whose cost is not known before."""
        owned = LeaseOrder.model_construct(**{**dict(order), "account": account_of(holder, order.account)})
        return answered(await spending.begin_lease(owned, caller=holder.caller, key=required(key)), response)


def _add_settling(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    changing = change_with(door, "holds:write")

    @router.post(
        "/{lease}/heartbeat", operation_id="beatLease", summary="Send a heartbeat", status_code=201, responses=_PROBLEMS
    )
    async def heartbeat(
        lease: HoldId,
        order: HeartbeatOrder,
        response: Response,
        change: Annotated[Change, Depends(changing)],
    ) -> LeaseChanged:
        """Settle what was used so far, reserve ahead again, and live on. Go on while credits are held."""
        return answered(await spending.change_lease(lease, "heartbeat", order, **change.terms), response)

    @router.post(
        "/{lease}/close", operation_id="closeLease", summary="Close a lease", status_code=201, responses=_PROBLEMS
    )
    async def close(
        lease: HoldId,
        order: HeartbeatOrder,
        response: Response,
        change: Annotated[Change, Depends(changing)],
    ) -> LeaseChanged:
        """Settle what was used in the end, and free the rest."""
        return answered(await spending.change_lease(lease, "close", order, **change.terms), response)
