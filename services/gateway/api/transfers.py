"""Transfers: users give credits to other accounts, where the deployment allows it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.contracts.http.spending_v1 import AccountTransferOrder, Transfer, TransferOrder
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.credits import SpendingClient
from services.gateway.domain.principals import SignedInUser


def routes(door: Door, spending: SpendingClient) -> APIRouter:
    """Make the route by which credits change hands."""
    router = APIRouter(prefix="/v1/transfers", tags=["transfers"])

    @router.post(
        "",
        operation_id="createTransfer",
        summary="Transfer credits",
        status_code=201,
        responses=problems(400, 401, 402, 403, 404, 409, 422),
    )
    async def transfer(
        order: TransferOrder,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
        key: IdempotencyKey = None,
    ) -> Transfer:
        """Give credits of one's own account to another."""
        owned = AccountTransferOrder.model_construct(**{**dict(order), "account": user.account})
        return answered(await spending.transfer(owned, caller=user.caller, key=required(key)), response)

    return router
