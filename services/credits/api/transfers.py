"""Transfers of credits between accounts."""

from fastapi import APIRouter, Depends

from libs.chassis.idempotency import Answer
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.lean_routes import LeanRoute
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.spending_v1 import AccountTransferOrder, Transfer
from services.credits.operations import transfers
from services.credits.operations.writer import Writer


def routes(writer: Writer, catalogue: Catalogue) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/transfers", dependencies=[Depends(calling_service)], route_class=LeanRoute)

    @router.post("", operation_id="transfer", status_code=201, response_model=Transfer)
    async def transfer(order: AccountTransferOrder, caller: Caller, key: IdempotencyKey) -> Answer:
        """Give credits to another account, once for a key of the caller, where the deployment allows it."""
        return await transfers.transfer(writer, catalogue.policies, order, caller=caller, key=key)

    return router
