"""HTTP in: what the gateway may ask of payments, under `/internal/v1`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service, idempotency_key
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.base import IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER, Cursor, Limit, Page
from libs.contracts.http.payments_v1 import (
    PackOffer,
    Packs,
    PaymentConfig,
    Purchase,
    Refund,
    RefundOrder,
    StartPurchase,
)
from libs.contracts.ids import AccountId
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms, currencies
from services.payments.operations import purchases, refunds
from services.payments.operations.answers import Answered


def _purchase(purchase: str) -> UUID:
    try:
        return ids.read("purchase", purchase)
    except ValueError as error:
        raise NotFoundError(str(error)) from error


PurchaseInPath = Annotated[UUID, Depends(_purchase)]
Account = Annotated[AccountId, Query()]


def routes(
    pool: Pool, stripe: Stripe, clock: Clock, terms: Terms, *, credits: CreditsClient | None, publishable_key: str
) -> APIRouter:
    """Make the service's routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])
    _add_offers(router, terms.catalogue, publishable_key)
    _add_starting(router, pool, stripe, clock, terms, credits=credits)
    _add_purchases(router, pool, stripe, clock)
    _add_refunds(router, pool, stripe, clock, terms.catalogue)
    return router


def _add_offers(router: APIRouter, catalogue: Catalogue, publishable_key: str) -> None:
    offers = [PackOffer.model_validate(pack.model_dump()) for pack in catalogue.packs]
    packs = Packs(data=offers, unit=catalogue.unit.model_dump())
    config = PaymentConfig(publishable_key=publishable_key, currencies=currencies(catalogue))

    @router.get("/packs", operation_id="listPacks")
    async def list_packs() -> Packs:
        """List the packs on sale, and what a credit is called."""
        return packs

    @router.get("/payment-config", operation_id="paymentConfig")
    async def payment_config() -> PaymentConfig:
        """Tell what Stripe's Elements need: the publishable key, and the currencies."""
        return config


def _add_starting(
    router: APIRouter, pool: Pool, stripe: Stripe, clock: Clock, terms: Terms, *, credits: CreditsClient | None
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
            return purchases.quote_order(terms, request.buyer.account, request.order)
        named = await idempotency_key(key)
        answered = await purchases.start_purchase(
            pool, stripe, credits, clock=clock, terms=terms, caller=caller, key=named, request=request
        )
        return _created(response, answered)


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


def _add_refunds(router: APIRouter, pool: Pool, stripe: Stripe, clock: Clock, catalogue: Catalogue) -> None:
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
            purchase,
            account=account,
            order=order,
            caller=caller,
            key=key,
            policies=catalogue.policies,
            clock=clock,
        )
        return _created(response, answered)


def _created(response: Response, answered: Answered) -> object:
    response.status_code = 201
    if answered.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return answered.body
