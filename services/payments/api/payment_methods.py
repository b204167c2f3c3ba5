"""Saved cards."""

from fastapi import APIRouter, Depends, Response

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.base import Page
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod, StartCardSetup
from libs.contracts.ids import CardSetupId, PaymentMethodId
from services.payments.api.answering import Account, created
from services.payments.clients.stripe import Stripe
from services.payments.operations import card_setups, cards


def routes(pool: Pool, stripe: Stripe, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.post("/payment-methods", operation_id="startCardSetup", response_model=CardSetup, status_code=201)
    async def start(request: StartCardSetup, response: Response, caller: Caller, key: IdempotencyKey) -> object:
        """Begin to save a card, once for a key of the caller."""
        answered = await card_setups.start_card_setup(pool, stripe, request.buyer, caller=caller, key=key, clock=clock)
        return created(response, answered)

    @router.post("/payment-methods/setups/{card_setup}/confirm", operation_id="confirmCardSetup")
    async def confirm(card_setup: CardSetupId, account: Account) -> CardSetup:
        """Read again what Stripe says of a card that is to be saved."""
        return await card_setups.confirm_card_setup(pool, stripe, card_setup, account=account, clock=clock)

    @router.get("/payment-methods", operation_id="listPaymentMethods")
    async def list_payment_methods(account: Account) -> Page[PaymentMethod]:
        """List the cards that an account has saved, the newest first."""
        return await cards.list_cards(pool, account, livemode=stripe.livemode)

    @router.put("/payment-methods/{payment_method}/default", operation_id="makeDefaultPaymentMethod")
    async def make_default(payment_method: PaymentMethodId, account: Account) -> PaymentMethod:
        """Make a saved card the default; 404 for one of another account."""
        return await cards.make_default(pool, stripe, payment_method, account=account, clock=clock)

    @router.delete("/payment-methods/{payment_method}", operation_id="removePaymentMethod", status_code=204)
    async def remove(payment_method: PaymentMethodId, account: Account) -> None:
        """Remove a saved card, here and at Stripe; 404 for one of another account."""
        await cards.remove(pool, stripe, payment_method, account=account, clock=clock)

    return router
