"""The payments service: what is sold, and purchases.

Whoever asks for a purchase names the account: payments answers 404 for a purchase of another.
"""

from uuid import UUID

from libs.chassis.service_client import Done, ServiceClient
from libs.contracts import ids
from libs.contracts.http.base import Page, Request
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod, StartCardSetup
from libs.contracts.http.payments_v1 import (
    LoyaltyStanding,
    Packs,
    PaymentConfig,
    Purchase,
    Refund,
    RefundOrder,
    RefundPreview,
    StartPurchase,
)
from libs.contracts.http.vouchers_v1 import GiftCard, GiftCardOffers, RedeemVoucher, Redemption, StartGiftCard
from services.gateway.domain.principals import SignedInUser

_CARDS = "/payment-methods"


class PaymentsClient:
    """Asks payments. Every call raises RemoteError, or UnavailableError if payments does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def packs(self) -> Packs:
        """Ask what is on offer."""
        return await self._service.get("/packs", Packs)

    async def payment_config(self) -> PaymentConfig:
        """Ask what a frontend needs to take a payment."""
        return await self._service.get("/payment-config", PaymentConfig)

    async def gift_card_offers(self) -> GiftCardOffers:
        """Ask which gift cards are on offer."""
        return await self._service.get("/gift-card-offers", GiftCardOffers)

    async def quote(self, user: SignedInUser, order: StartPurchase) -> Purchase:
        """Ask what an order that says `quote_only` would cost and bring."""
        return await self._service.post("/purchases", order, Purchase, caller=user.caller)

    async def start_purchase(self, user: SignedInUser, order: StartPurchase, *, idempotency_key: str) -> Done[Purchase]:
        """Start a purchase, once for a key of the user's."""
        return await self._service.post_once(
            "/purchases", order, Purchase, caller=user.caller, idempotency_key=idempotency_key
        )

    async def purchases(self, user: SignedInUser, *, limit: int, cursor: str | None) -> Page[Purchase]:
        """Ask for a page of purchases, newest first."""
        params = _owner(user) | {"limit": limit, "cursor": cursor}
        return await self._service.get("/purchases", Page[Purchase], params=params)

    async def purchase(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Ask for a purchase."""
        return await self._service.get(_path(purchase), Purchase, params=_owner(user))

    async def confirm(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Have the purchase re-read from Stripe."""
        return await self._change(user, purchase, "confirm")

    async def cancel(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Cancel a purchase that is not paid."""
        return await self._change(user, purchase, "cancel")

    async def refund(
        self, user: SignedInUser, purchase: UUID, order: RefundOrder, *, idempotency_key: str
    ) -> Done[Refund]:
        """Give money back, once for a key of the user's."""
        return await self._service.post_once(
            f"{_path(purchase)}/refunds",
            order,
            Refund,
            caller=user.caller,
            idempotency_key=idempotency_key,
            params=_owner(user),
        )

    async def preview_refund(self, user: SignedInUser, purchase: UUID, order: RefundOrder) -> RefundPreview:
        """Say what a refund would do."""
        return await self._service.post(
            f"{_path(purchase)}/refund-preview", order, RefundPreview, caller=user.caller, params=_owner(user)
        )

    async def loyalty(self, user: SignedInUser) -> LoyaltyStanding:
        """Ask which loyalty tier the user's account has."""
        return await self._service.get("/loyalty", LoyaltyStanding, params=_owner(user))

    async def buy_gift_card(self, user: SignedInUser, order: StartGiftCard, *, idempotency_key: str) -> Done[Purchase]:
        """Start the purchase of a gift card, once for a key of the user's."""
        return await self._service.post_once(
            "/gift-cards", order, Purchase, caller=user.caller, idempotency_key=idempotency_key
        )

    async def gift_cards(self, user: SignedInUser, *, limit: int, cursor: str | None) -> Page[GiftCard]:
        """Ask for a page of the gift cards that the user's account has paid for, newest first."""
        params = _owner(user) | {"limit": limit, "cursor": cursor}
        return await self._service.get("/gift-cards", Page[GiftCard], params=params)

    async def start_card_setup(
        self, user: SignedInUser, start: StartCardSetup, *, idempotency_key: str
    ) -> Done[CardSetup]:
        """Begin to save a card, once for a key of the user's."""
        return await self._service.post_once(
            _CARDS, start, CardSetup, caller=user.caller, idempotency_key=idempotency_key
        )

    async def confirm_card_setup(self, user: SignedInUser, setup: UUID) -> CardSetup:
        """Have Stripe read again."""
        path = f"{_CARDS}/setups/{ids.show('card_setup', setup)}/confirm"
        return await self._service.post(path, Request(), CardSetup, caller=user.caller, params=_owner(user))

    async def payment_methods(self, user: SignedInUser) -> Page[PaymentMethod]:
        """Ask for the cards that the user's account has saved."""
        return await self._service.get(_CARDS, Page[PaymentMethod], params=_owner(user))

    async def make_default_payment_method(self, user: SignedInUser, card: UUID) -> PaymentMethod:
        """Make a saved card the default."""
        path = f"{_CARDS}/{ids.show('payment_method', card)}/default"
        return await self._service.put(path, Request(), PaymentMethod, params=_owner(user))

    async def remove_payment_method(self, user: SignedInUser, card: UUID) -> None:
        """Remove a saved card."""
        await self._service.delete(f"{_CARDS}/{ids.show('payment_method', card)}", params=_owner(user))

    async def redeem(self, user: SignedInUser, code: str, *, idempotency_key: str) -> Done[Redemption]:
        """Redeem a code, once, ever."""
        order = RedeemVoucher(code=code, account=user.account, user=user.user)
        return await self._service.post_once(
            "/vouchers/redeem", order, Redemption, caller=user.caller, idempotency_key=idempotency_key
        )

    async def _change(self, user: SignedInUser, purchase: UUID, verb: str) -> Purchase:
        return await self._service.post(
            f"{_path(purchase)}/{verb}", Request(), Purchase, caller=user.caller, params=_owner(user)
        )


def _path(purchase: UUID) -> str:
    return f"/purchases/{ids.show('purchase', purchase)}"


def _owner(user: SignedInUser) -> dict[str, str | int | None]:
    return {"account": ids.show("account", user.account)}
