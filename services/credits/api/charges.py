"""Charges: credits burnt for something, and given back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.idempotency import Answer
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.lean_routes import LeanRoute
from libs.chassis.pool import Pool
from libs.contracts.http import spending_v1 as contract
from libs.contracts.http.spending_v1 import ChargeBatch, ChargeOrder, ChargeRefundOrder
from libs.contracts.ids import AccountId, ChargeId
from services.credits.operations import charges
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.writer import Writer

_PREFIX = "/internal/v1/charges"

Account = Annotated[AccountId, Query()]


def routes(writer: Writer, pool: Pool, clock: Clock, prices: ActivePrices) -> APIRouter:
    """Make the routes."""
    reading = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)])

    @reading.get("/{charge}", operation_id="getCharge", response_model=contract.Charge)
    async def show_charge(charge: ChargeId, account: Account) -> object:
        """Tell of a charge; 404 for one of another account."""
        return await charges.show(pool, charge, account=account)

    router = APIRouter()
    router.include_router(_changing(writer, clock, prices))
    router.include_router(reading)
    return router


def _changing(writer: Writer, clock: Clock, prices: ActivePrices) -> APIRouter:
    router = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)], route_class=LeanRoute)

    @router.post("", operation_id="charge", status_code=201, response_model=contract.ChargeMade)
    async def charge(order: ChargeOrder, caller: Caller, key: IdempotencyKey) -> Answer:
        """Burn credits, once for a key of the caller and once for a reference; 402 if there are not enough."""
        return await charges.charge(writer, await prices.now(), order, at=clock.now(), caller=caller, key=key)

    @router.post("/batch", operation_id="chargeMany", response_model=contract.ChargeBatchDone)
    async def charge_many(order: ChargeBatch, caller: Caller, key: IdempotencyKey) -> Answer:
        """Burn credits for many things, each decided by itself."""
        return await charges.charge_many(writer, await prices.now(), order, at=clock.now(), caller=caller, key=key)

    @router.post(
        "/{charge}/refunds", operation_id="refundCharge", status_code=201, response_model=contract.ChargeRefunded
    )
    async def refund_charge(
        charge: ChargeId, account: Account, order: ChargeRefundOrder, caller: Caller, key: IdempotencyKey
    ) -> Answer:
        """Give back what a charge burnt, to the very lots; all that is left of it if no amount is named."""
        return await charges.refund(writer, charge, order, account=account, caller=caller, key=key)

    return router
