"""Gift cards that a signed-in user buys for others: paid for as purchases are, told to whom they are for by mail."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from libs.chassis.pool import Pool
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.http.vouchers_v1 import GiftCard, GiftCardOrder
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import purchases


def routes(door: Door, pool: Pool, payments: PaymentsClient) -> APIRouter:
    """Make the routes by which users give."""
    router = APIRouter(prefix="/v1/gift-cards", tags=["gift cards"])

    @router.post(
        "",
        operation_id="buyGiftCard",
        summary="Buy a gift card for somebody",
        status_code=201,
        responses=problems(400, 401, 402, 403, 409, 422),
    )
    async def buy(
        *,
        order: GiftCardOrder,
        request: Request,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
        key: IdempotencyKey = None,
    ) -> Purchase:
        """Start the purchase of a gift card; it is paid, confirmed, canceled and refunded as any purchase is.

        Once it is paid, its code goes by mail to whom it is for, at once or when it is to be delivered.
        """
        await door.count_payment(user, request, response)
        done = await purchases.buy_gift_card(pool, payments, user, order, idempotency_key=required(key))
        return answered(done, response)

    @router.get("", operation_id="listGiftCards", summary="List gift cards", responses=problems(401, 403, 422))
    async def find_all(
        user: Annotated[SignedInUser, Depends(door.user)],
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> Page[GiftCard]:
        """List the gift cards that the account has paid for and what became of them, newest first."""
        return await payments.gift_cards(user, limit=limit, cursor=cursor)

    return router
