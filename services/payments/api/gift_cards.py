"""Gift cards: on offer, bought, listed."""

from fastapi import APIRouter, Depends, Response

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.http.vouchers_v1 import GiftCard, GiftCardOffer, GiftCardOffers, StartGiftCard
from services.payments.api.answering import Account, created
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms
from services.payments.operations import gift_cards


def routes(pool: Pool, stripe: Stripe, clock: Clock, terms: Terms) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])
    catalogue = terms.catalogue
    offers = [GiftCardOffer.model_validate(card.model_dump()) for card in catalogue.gift_cards]
    on_offer = GiftCardOffers(data=offers, unit=catalogue.unit.model_dump())

    @router.get("/gift-card-offers", operation_id="listGiftCardOffers")
    async def list_offers() -> GiftCardOffers:
        """List the gift cards on sale, and what a credit is called."""
        return on_offer

    @router.post("/gift-cards", operation_id="buyGiftCard", response_model=Purchase, status_code=201)
    async def buy(request: StartGiftCard, response: Response, caller: Caller, key: IdempotencyKey) -> object:
        """Start the purchase of a gift card, once for a key of the caller."""
        answered = await gift_cards.buy_gift_card(
            pool, stripe, clock=clock, terms=terms, caller=caller, key=key, request=request
        )
        return created(response, answered)

    @router.get("/gift-cards", operation_id="listGiftCards")
    async def list_cards(account: Account, limit: Limit = 20, cursor: Cursor | None = None) -> Page[GiftCard]:
        """List the gift cards that an account has paid for, newest first."""
        return await gift_cards.list_gift_cards(pool, account, limit=limit, cursor=cursor)

    return router
