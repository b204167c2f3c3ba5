"""What is sold, for everybody, with entity tags: who has the newest is told so and nothing more."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from libs.contracts.http.payments_v1 import Packs, PaymentConfig
from libs.contracts.http.vouchers_v1 import GiftCardOffers
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.payments import PaymentsClient
from services.gateway.operations.catalogue import Copy, Shelf

IfNoneMatch = Annotated[str | None, Header()]


def routes(door: Door, payments: PaymentsClient, *, seconds: float) -> APIRouter:
    """Make the routes that show what is sold; payments is asked again after so many seconds."""
    router = APIRouter(tags=["catalogue"], dependencies=[Depends(door.anybody)])
    packs = Shelf(payments.packs, seconds=seconds)
    config = Shelf(payments.payment_config, seconds=seconds)
    gift_cards = Shelf(payments.gift_card_offers, seconds=seconds)
    documented = {304: {"description": "Unchanged since the entity tag in `If-None-Match`"}, **problems()}

    @router.get("/v1/packs", operation_id="listPacks", summary="List packs", response_model=Packs, responses=documented)
    async def list_packs(response: Response, if_none_match: IfNoneMatch = None) -> Response:
        """List the packs on offer, and what a credit is called."""
        return _answer(await packs.copy(), if_none_match, response)

    @router.get(
        "/v1/gift-card-offers",
        operation_id="listGiftCardOffers",
        summary="List gift cards on offer",
        response_model=GiftCardOffers,
        responses=documented,
    )
    async def list_gift_cards(response: Response, if_none_match: IfNoneMatch = None) -> Response:
        """List the gift cards that can be bought for somebody, and what a credit is called."""
        return _answer(await gift_cards.copy(), if_none_match, response)

    @router.get(
        "/v1/payment-config",
        operation_id="getPaymentConfig",
        summary="What Stripe's Elements need",
        response_model=PaymentConfig,
        responses=documented,
    )
    async def payment_config(response: Response, if_none_match: IfNoneMatch = None) -> Response:
        """Tell what a frontend needs to take a payment: the publishable key, and the currencies."""
        return _answer(await config.copy(), if_none_match, response)

    return router


def _answer(copy: Copy, if_none_match: str | None, limited: Response) -> Response:
    """Answer with the copy, or 304 to who has it; with the headers of the rate limit."""
    headers = {**limited.headers, "ETag": copy.etag, "Cache-Control": "public, no-cache"}
    if if_none_match is not None and _matches(if_none_match, copy.etag):
        return Response(status_code=304, headers=headers)
    return Response(copy.body, media_type="application/json", headers=headers)


def _matches(if_none_match: str, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in known or etag in known
