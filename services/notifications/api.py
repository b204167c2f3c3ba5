"""HTTP in: what support asks about messages."""

from typing import Annotated

from fastapi import APIRouter, Query

from libs.chassis.errors import InvalidRequestError
from libs.chassis.internal_api import CallingService
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.notifications_v1 import Delivery
from libs.contracts.ids import AccountId
from services.notifications import operations


def routes(pool: Pool) -> APIRouter:
    """Make the routes under `/internal/v1`; services alone may call them."""
    router = APIRouter(prefix="/internal/v1")

    @router.get("/accounts/{account}/deliveries", operation_id="listDeliveries")
    async def list_deliveries(
        account: AccountId,
        service: CallingService,  # noqa: ARG001 - asked for, so that nobody else is served
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> Page[Delivery]:
        """List what an account's people were told, newest first."""
        try:
            before = ids.read("message", cursor) if cursor else None
        except ValueError as error:
            raise InvalidRequestError(f"cursor: {error}") from error
        return await operations.list_deliveries(pool, account, before=before, limit=limit)

    return router
