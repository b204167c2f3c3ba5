"""Purchases: quoted, started, followed, given back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service, idempotency_key
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.http.base import IDEMPOTENCY_KEY_HEADER, Cursor, Limit, Page
from libs.contracts.http.payments_v1 import Purchase, Refund, RefundOrder, RefundPreview, StartPurchase
from services.payments.api.answering import Account, created
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms
from services.payments.operations import purchases, refunds, returning


def _purchase(purchase: str) -> UUID:
    try:
        return ids.read("purchase", purchase)
    except ValueError as error:
        raise NotFoundError(str(error)) from error


PurchaseInPath = Annotated[UUID, Depends(_purchase)]


def routes(pool: Pool, stripe: Stripe, clock: Clock, terms: Terms, *, credits: CreditsClient) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])
    _add_starting(router, pool, stripe, clock, terms, credits=credits)
    _add_purchases(router, pool, stripe, clock)
    _add_refunds(router, pool, stripe, clock, credits=credits, policies=terms.catalogue.policies)
    return router


def _add_starting(
    router: APIRouter, pool: Pool, stripe: Stripe, clock: Clock, terms: Terms, *, credits: CreditsClient
) -> None:
    @router.post(
        "/purchases",
        operation_id="startPurchase",
        response_model=Purchase,
        responses={201: {"model": Purchase, "description": "Started"}},
    )
    async def start_purchase(
        request: StartPurchase,
        response: Response,
        caller: Caller,
        key: Annotated[str | None, Header(alias=IDEMPOTENCY_KEY_HEADER, max_length=255)] = None,
    ) -> object:
        """Start a purchase, once for a key of the caller (201), or only quote it (200), which needs no key."""
        if request.order.quote_only:
            account, mode = request.buyer.account, stripe.livemode
            return await purchases.quote_order(pool, terms, account, request.order, livemode=mode, clock=clock)
        named = await idempotency_key(key)
        answered = await purchases.start_purchase(
            pool, stripe, credits, clock=clock, terms=terms, caller=caller, key=named, request=request
        )
        return created(response, answered)


def _add_purchases(router: APIRouter, pool: Pool, stripe: Stripe, clock: Clock) -> None:
    @router.get("/purchases", operation_id="listPurchases")
    async def list_purchases(account: Account, limit: Limit = 20, cursor: Cursor | None = None) -> Page[Purchase]:
        """List an account's purchases, newest first."""
        return await purchases.list_purchases(pool, account, limit=limit, cursor=cursor)

    @router.get("/purchases/{purchase}", operation_id="getPurchase")
    async def get_purchase(purchase: PurchaseInPath, account: Account) -> Purchase:
        """Tell where a purchase stands; 404 for one of another account."""
        return await purchases.show_purchase(pool, purchase, account=account)

    @router.post("/purchases/{purchase}/confirm", operation_id="confirmPurchase")
    async def confirm_purchase(purchase: PurchaseInPath, account: Account) -> Purchase:
        """Read again what Stripe says of a purchase, and apply it."""
        return await purchases.confirm_purchase(pool, stripe, purchase, account=account, clock=clock)

    @router.post("/purchases/{purchase}/cancel", operation_id="cancelPurchase")
    async def cancel_purchase(purchase: PurchaseInPath, account: Account) -> Purchase:
        """Cancel a purchase, here and at Stripe, unless it is paid or on its way."""
        return await purchases.cancel_purchase(pool, stripe, purchase, account=account, clock=clock)


def _add_refunds(
    router: APIRouter, pool: Pool, stripe: Stripe, clock: Clock, *, credits: CreditsClient, policies: Policies
) -> None:
    @router.post("/purchases/{purchase}/refunds", operation_id="refundPurchase", response_model=Refund, status_code=201)
    async def refund_purchase(
        *,
        purchase: PurchaseInPath,
        account: Account,
        order: RefundOrder,
        response: Response,
        caller: Caller,
        key: IdempotencyKey,
    ) -> object:
        """Give money back, once for a key of the caller; all that is left of the payment if no amount is named."""
        answered = await refunds.refund_purchase(
            pool,
            stripe,
            credits,
            purchase,
            account=account,
            order=order,
            caller=caller,
            key=key,
            policies=policies,
            clock=clock,
        )
        return created(response, answered)

    @router.post("/purchases/{purchase}/refund-preview", operation_id="previewRefund")
    async def preview_refund(
        purchase: PurchaseInPath, account: Account, order: RefundOrder, caller: Caller
    ) -> RefundPreview:
        """Say what a refund would do: the money, the credits that go with it, and those that are spent."""
        return await returning.preview(
            pool, credits, purchase, account=account, order=order, caller=caller, policies=policies, clock=clock
        )
