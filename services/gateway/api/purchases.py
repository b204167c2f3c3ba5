"""Purchases of a signed-in user: payments decides, and answers 404 for what is another account's."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from libs.chassis.pool import Pool
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.payments_v1 import Purchase, PurchaseOrder, Refund, RefundOrder, RefundPreview
from libs.contracts.ids import PurchaseId
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import purchases


def routes(door: Door, pool: Pool, payments: PaymentsClient) -> APIRouter:
    """Make the routes by which users buy."""
    router = APIRouter(prefix="/v1/purchases", tags=["purchases"])
    _add_starting(router, door, pool, payments)
    _add_reading(router, door, payments)
    _add_changing(router, door, payments)
    _add_refunds(router, door, payments)
    return router


def _add_starting(router: APIRouter, door: Door, pool: Pool, payments: PaymentsClient) -> None:
    @router.post(
        "",
        operation_id="createPurchase",
        summary="Start a purchase",
        status_code=201,
        responses={200: {"model": Purchase, "description": "Only quoted"}, **problems(400, 401, 402, 403, 409, 422)},
    )
    async def start(
        *,
        order: PurchaseOrder,
        request: Request,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
        key: IdempotencyKey = None,
    ) -> Purchase:
        """Start a purchase, or only quote it (200). A purchase needs an Idempotency-Key, a quote none."""
        if order.promo_code is not None:
            await door.count_code(user, request, response)
        if order.quote_only:
            response.status_code = 200
            return await purchases.quote(pool, payments, user, order)
        await door.count_payment(user, request, response)
        done = await purchases.start(pool, payments, user, order, idempotency_key=required(key))
        return answered(done, response)


def _add_reading(router: APIRouter, door: Door, payments: PaymentsClient) -> None:
    @router.get("", operation_id="listPurchases", summary="List purchases", responses=problems(401, 403, 422))
    async def find_all(
        user: Annotated[SignedInUser, Depends(door.user)],
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> Page[Purchase]:
        """List the account's purchases, newest first."""
        return await payments.purchases(user, limit=limit, cursor=cursor)

    @router.get("/{purchase}", operation_id="getPurchase", summary="A purchase", responses=problems(401, 403, 404, 422))
    async def find(purchase: PurchaseId, user: Annotated[SignedInUser, Depends(door.user)]) -> Purchase:
        """Tell where a purchase stands."""
        return await payments.purchase(user, purchase)


def _add_changing(router: APIRouter, door: Door, payments: PaymentsClient) -> None:
    @router.post(
        "/{purchase}/confirm",
        operation_id="confirmPurchase",
        summary="Re-read a purchase from Stripe",
        responses=problems(401, 403, 404, 409, 422),
    )
    async def confirm(purchase: PurchaseId, user: Annotated[SignedInUser, Depends(door.user)]) -> Purchase:
        """Have the purchase re-read from Stripe now, rather than wait for its webhook."""
        return await payments.confirm(user, purchase)

    @router.post(
        "/{purchase}/cancel",
        operation_id="cancelPurchase",
        summary="Cancel a purchase",
        responses=problems(401, 403, 404, 409, 422),
    )
    async def cancel(purchase: PurchaseId, user: Annotated[SignedInUser, Depends(door.user)]) -> Purchase:
        """Cancel a purchase that is not paid yet."""
        return await payments.cancel(user, purchase)


def _add_refunds(router: APIRouter, door: Door, payments: PaymentsClient) -> None:
    @router.post(
        "/{purchase}/refunds",
        operation_id="refundPurchase",
        summary="Refund a purchase",
        status_code=201,
        responses=problems(400, 401, 403, 404, 409, 422),
    )
    async def refund(
        purchase: PurchaseId,
        order: RefundOrder,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
        key: IdempotencyKey = None,
    ) -> Refund:
        """Give money back and take the credits back, where the catalogue lets customers do so."""
        done = await payments.refund(user, purchase, order, idempotency_key=required(key))
        return answered(done, response)

    @router.post(
        "/{purchase}/refund-preview",
        operation_id="previewRefund",
        summary="What a refund would do",
        responses=problems(401, 403, 404, 409, 422),
    )
    async def preview(
        purchase: PurchaseId, order: RefundOrder, user: Annotated[SignedInUser, Depends(door.user)]
    ) -> RefundPreview:
        """Say how much money and how many credits would go back, and how many of those are spent."""
        return await payments.preview_refund(user, purchase, order)
