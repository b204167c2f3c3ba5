"""Saved cards of a signed-in user's account. A card's number goes from the browser to Stripe and never comes here."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from libs.chassis.pool import Pool
from libs.contracts.http.base import Page
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod
from libs.contracts.ids import CardSetupId, PaymentMethodId
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import purchases


def routes(door: Door, pool: Pool, payments: PaymentsClient) -> APIRouter:
    """Make the routes by which users save cards."""
    router = APIRouter(prefix="/v1/payment-methods", tags=["payment methods"])
    _add_saving(router, door, pool, payments)
    _add_saved(router, door, payments)
    return router


def _add_saving(router: APIRouter, door: Door, pool: Pool, payments: PaymentsClient) -> None:
    @router.post(
        "",
        operation_id="createPaymentMethod",
        summary="Begin to save a card",
        status_code=201,
        responses=problems(400, 401, 402, 403, 422),
    )
    async def start(
        request: Request,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user)],
        key: IdempotencyKey = None,
    ) -> CardSetup:
        """Begin to save a card; Stripe's Elements take it, by the client secret. The first card is the default."""
        await door.count_payment(user, request, response)
        return answered(await purchases.save_card(pool, payments, user, idempotency_key=required(key)), response)

    @router.post(
        "/setups/{card_setup}/confirm",
        operation_id="confirmPaymentMethod",
        summary="Re-read from Stripe whether a card is saved",
        responses=problems(401, 403, 404, 422),
    )
    async def confirm(card_setup: CardSetupId, user: Annotated[SignedInUser, Depends(door.user)]) -> CardSetup:
        """Have it re-read from Stripe now, rather than wait for its webhook; a card that was saved is in the list."""
        return await payments.confirm_card_setup(user, card_setup)


def _add_saved(router: APIRouter, door: Door, payments: PaymentsClient) -> None:
    @router.get("", operation_id="listPaymentMethods", summary="List saved cards", responses=problems(401, 403))
    async def find_all(user: Annotated[SignedInUser, Depends(door.user)]) -> Page[PaymentMethod]:
        """List the account's saved cards, the newest first; there are ten at most, or few more."""
        return await payments.payment_methods(user)

    @router.put(
        "/{payment_method}/default",
        operation_id="makeDefaultPaymentMethod",
        summary="Make a saved card the default",
        responses=problems(401, 403, 404, 422),
    )
    async def make_default(
        payment_method: PaymentMethodId, user: Annotated[SignedInUser, Depends(door.user)]
    ) -> PaymentMethod:
        """Make a saved card the one that pays if none is named."""
        return await payments.make_default_payment_method(user, payment_method)

    @router.delete(
        "/{payment_method}",
        operation_id="removePaymentMethod",
        summary="Remove a saved card",
        status_code=204,
        responses=problems(401, 403, 404, 422),
    )
    async def remove(payment_method: PaymentMethodId, user: Annotated[SignedInUser, Depends(door.user)]) -> None:
        """Remove a saved card, here and at Stripe. If it was the default, the newest other card becomes it."""
        await payments.remove_payment_method(user, payment_method)
