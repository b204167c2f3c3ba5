"""Holds: credits reserved before work, then captured or released."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.idempotency import Answer
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.lean_routes import LeanRoute
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Policies
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.spending_v1 import (
    CaptureOrder,
    ExtendOrder,
    Hold,
    HoldChanged,
    HoldOrder,
    HoldState,
    ReferenceName,
    ReferenceType,
)
from libs.contracts.ids import AccountId, HoldId
from services.credits.operations import holds
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger
from services.credits.operations.writer import Writer
from services.credits.store.holds import Wanted

_PREFIX = "/internal/v1/holds"

Account = Annotated[AccountId, Query()]


def routes(
    writer: Writer, pool: Pool, ledger: Ledger, clock: Clock, *, prices: ActivePrices, policies: Policies
) -> APIRouter:
    """Make the routes."""
    reading = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)])

    @reading.get("/{hold}", operation_id="getHold", response_model=Hold)
    async def show_hold(hold: HoldId, account: Account) -> object:
        """Tell of a hold; 404 for one of another account."""
        return await holds.show(pool, ledger, clock, hold, account=account)

    @reading.get("", operation_id="listHolds", response_model=Page[Hold])
    async def show_holds(
        *,
        account: Account,
        state: HoldState | None = None,
        reference_type: ReferenceType | None = None,
        reference_id: ReferenceName | None = None,
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> object:
        """List an account's holds, newest first."""
        wanted = Wanted(state, reference_type, reference_id)
        return await holds.show_all(pool, ledger, clock, account, wanted, limit=limit, cursor=cursor)

    router = APIRouter()
    router.include_router(_changing(writer, prices, policies, clock))
    router.include_router(reading)
    return router


def _changing(writer: Writer, prices: ActivePrices, policies: Policies, clock: Clock) -> APIRouter:
    router = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)], route_class=LeanRoute)

    @router.post("", operation_id="placeHold", status_code=201, response_model=HoldChanged)
    async def place(order: HoldOrder, caller: Caller, key: IdempotencyKey) -> Answer:
        """Reserve credits, once for a key of the caller; 402 if there are not enough."""
        return await holds.place(writer, await prices.now(), policies, order, now=clock.now(), caller=caller, key=key)

    @router.post("/{hold}/capture", operation_id="captureHold", status_code=201, response_model=HoldChanged)
    async def capture(
        hold: HoldId, account: Account, order: CaptureOrder, caller: Caller, key: IdempotencyKey
    ) -> Answer:
        """Burn what a hold reserves, or a part of it; the rest is freed if the capture is final."""
        return await holds.capture(writer, hold, order, account=account, caller=caller, key=key)

    @router.post("/{hold}/extend", operation_id="extendHold", status_code=201, response_model=HoldChanged)
    async def extend(hold: HoldId, account: Account, order: ExtendOrder, caller: Caller, key: IdempotencyKey) -> Answer:
        """Let a hold live longer, counted from now."""
        return await holds.extend(writer, hold, order, account=account, now=clock.now(), caller=caller, key=key)

    @router.post("/{hold}/release", operation_id="releaseHold", status_code=201, response_model=HoldChanged)
    async def release(hold: HoldId, account: Account, caller: Caller, key: IdempotencyKey) -> Answer:
        """Free what a hold still reserves."""
        return await holds.release(writer, hold, account=account, caller=caller, key=key)

    return router
