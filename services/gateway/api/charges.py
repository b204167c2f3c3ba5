"""Charges: users spend of their own account, services of theirs; credits decides."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.contracts.http.spending_v1 import (
    Charge,
    ChargeBatch,
    ChargeBatchDone,
    ChargeMade,
    ChargeOrder,
    ChargeRefunded,
    ChargeRefundOrder,
    NewCharge,
)
from libs.contracts.ids import ChargeId
from services.gateway.api import problems
from services.gateway.api.changing import Change, change_with
from services.gateway.api.door import Account, Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.credits import SpendingClient
from services.gateway.domain.principals import KeyHolder, Principal, account_of


def routes(door: Door, spending: SpendingClient) -> APIRouter:
    """Make the routes by which credits are charged."""
    router = APIRouter(prefix="/v1/charges", tags=["charges"])
    _add_charging(router, door, spending)
    _add_batches(router, door, spending)
    _add_refunds(router, door, spending)
    return router


def _add_charging(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    spender, reader = door.user_or_key_with("charges:write"), door.user_or_key_with("credits:read")

    @router.post(
        "",
        operation_id="createCharge",
        summary="Charge",
        status_code=201,
        responses=problems(400, 401, 402, 403, 404, 409, 422),
    )
    async def charge(
        order: NewCharge,
        response: Response,
        principal: Annotated[Principal, Depends(spender)],
        key: IdempotencyKey = None,
    ) -> ChargeMade:
        """Burn credits: an amount, or what the price book says that a usage costs. A reference is charged once."""
        owned = ChargeOrder.model_construct(**{**dict(order), "account": account_of(principal, order.account)})
        return answered(await spending.charge(owned, caller=principal.caller, key=required(key)), response)

    @router.get("/{charge}", operation_id="getCharge", summary="A charge", responses=problems(401, 403, 404, 422))
    async def show(
        charge: ChargeId, principal: Annotated[Principal, Depends(reader)], account: Account = None
    ) -> Charge:
        """Tell of a charge, and how much of it was given back."""
        return await spending.show_charge(charge, account=account_of(principal, account))


def _add_batches(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    @router.post(
        "/batch", operation_id="createCharges", summary="Charge many", responses=problems(400, 401, 403, 413, 422)
    )
    async def charge_many(
        order: ChargeBatch,
        response: Response,
        holder: Annotated[KeyHolder, Depends(door.key_with("charges:write"))],
        key: IdempotencyKey = None,
    ) -> ChargeBatchDone:
        """Burn credits for many things, each decided by itself: one that is refused spoils no other."""
        if order.account is not None or not holder.may("admin"):
            order = order.model_copy(update={"account": account_of(holder, order.account)})
        done = await spending.charge_many(order, caller=holder.caller, key=required(key))
        return answered(done, response)


def _add_refunds(router: APIRouter, door: Door, spending: SpendingClient) -> None:
    @router.post(
        "/{charge}/refunds",
        operation_id="refundCharge",
        summary="Refund a charge",
        status_code=201,
        responses=problems(400, 401, 403, 404, 422),
    )
    async def refund(
        charge: ChargeId,
        order: ChargeRefundOrder,
        response: Response,
        change: Annotated[Change, Depends(change_with(door, "charges:write"))],
    ) -> ChargeRefunded:
        """Give back what a charge burnt, to the very lots: an amount, or all that is left of it."""
        return answered(await spending.refund_charge(charge, order, **change.terms), response)
