"""Holds: services reserve before work, then capture or release; users look on."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from libs.contracts.http.base import Cursor, Limit, Page, Request
from libs.contracts.http.spending_v1 import (
    CaptureOrder,
    ExtendOrder,
    Hold,
    HoldChanged,
    HoldOrder,
    HoldState,
    NewHold,
    ReferenceName,
    ReferenceType,
)
from libs.contracts.ids import HoldId
from services.gateway.api import problems
from services.gateway.api.changing import Change, change_with
from services.gateway.api.door import Account, Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.credits import SpendingClient
from services.gateway.domain.principals import KeyHolder, Principal, account_of

_PROBLEMS = problems(400, 401, 402, 403, 404, 409, 422)


def routes(door: Door, spending: SpendingClient) -> APIRouter:
    """Make the routes by which credits are reserved."""
    router = APIRouter(prefix="/v1/holds", tags=["holds"])
    _add_placing(router, door, spending)
    _add_reading(router, door, spending)
    _add_settling(router, door, spending)
    return router


def _add_placing(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    worker, changing = door.key_with("holds:write"), change_with(door, "holds:write")

    @router.post("", operation_id="createHold", summary="Place a hold", status_code=201, responses=_PROBLEMS)
    async def place(
        order: NewHold,
        response: Response,
        holder: Annotated[KeyHolder, Depends(worker)],
        key: IdempotencyKey = None,
    ) -> HoldChanged:
        """Reserve credits before work. A hold that nobody captures, extends or releases frees itself."""
        owned = HoldOrder.model_construct(**{**dict(order), "account": account_of(holder, order.account)})
        return answered(await spending.place_hold(owned, caller=holder.caller, key=required(key)), response)

    @router.post(
        "/{hold}/extend", operation_id="extendHold", summary="Extend a hold", status_code=201, responses=_PROBLEMS
    )
    async def extend(
        hold: HoldId,
        order: ExtendOrder,
        response: Response,
        change: Annotated[Change, Depends(changing)],
    ) -> HoldChanged:
        """Let a hold live on, counted from now; as often as need be, until its `ends_by`."""
        return answered(await spending.change_hold(hold, "extend", order, **change.terms), response)


def _add_reading(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    reader = door.user_or_key_with("credits:read")

    @router.get("", operation_id="listHolds", summary="List holds", responses=problems(401, 403, 422))
    async def find_all(
        *,
        principal: Annotated[Principal, Depends(reader)],
        account: Account = None,
        state: HoldState | None = None,
        reference_type: ReferenceType | None = None,
        reference_id: ReferenceName | None = None,
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> Page[Hold]:
        """List the account's holds, newest first: its jobs, what they were for and what they cost."""
        return await spending.holds(
            account_of(principal, account),
            state=state,
            reference_type=reference_type,
            reference_id=reference_id,
            limit=limit,
            cursor=cursor,
        )

    @router.get("/{hold}", operation_id="getHold", summary="A hold", responses=problems(401, 403, 404, 422))
    async def show(hold: HoldId, principal: Annotated[Principal, Depends(reader)], account: Account = None) -> Hold:
        """Tell where a hold stands."""
        return await spending.show_hold(hold, account=account_of(principal, account))


def _add_settling(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    changing = change_with(door, "holds:write")

    @router.post(
        "/{hold}/capture", operation_id="captureHold", summary="Capture a hold", status_code=201, responses=_PROBLEMS
    )
    async def capture(
        hold: HoldId,
        order: CaptureOrder,
        response: Response,
        change: Annotated[Change, Depends(changing)],
    ) -> HoldChanged:
        """Burn what the work cost; the rest is freed, unless the capture says that it is not final."""
        return answered(await spending.change_hold(hold, "capture", order, **change.terms), response)

    @router.post(
        "/{hold}/release", operation_id="releaseHold", summary="Release a hold", status_code=201, responses=_PROBLEMS
    )
    async def release(
        hold: HoldId,
        response: Response,
        change: Annotated[Change, Depends(changing)],
    ) -> HoldChanged:
        """Free what a hold still reserves, as when the work failed."""
        return answered(await spending.change_hold(hold, "release", Request(), **change.terms), response)
