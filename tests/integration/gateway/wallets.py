"""The saved cards that the stand-in of payments keeps: who asked, and what is whose."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import Depends, FastAPI, Response

from libs.chassis.errors import NotFoundError
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.contracts import ids
from libs.contracts.http.base import REPLAYED_HEADER, Page
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod, StartCardSetup
from libs.contracts.ids import AccountId, CardSetupId, PaymentMethodId

NOW = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)


class Wallets:
    """Begins setups, each of which has saved a card as soon as it is confirmed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.begun: dict[tuple[str, str], CardSetup] = {}
        self.buyers: list[StartCardSetup] = []
        self.cards: dict[UUID, tuple[UUID, PaymentMethod]] = {}

    def card_of(self, account: UUID, card: UUID) -> PaymentMethod:
        """Find an account's card."""
        owner, found = self.cards.get(card, (None, None))
        if found is None or owner != account:
            raise NotFoundError
        return found

    def add_routes(self, app: FastAPI) -> None:
        """Add the internal routes that the gateway uses."""
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/payment-methods", dependencies=checked, status_code=201)
        async def begin(order: StartCardSetup, response: Response, caller: Caller, key: IdempotencyKey) -> CardSetup:
            self.buyers.append(order)
            if (caller, key) in self.begun:
                response.headers[REPLAYED_HEADER] = "true"
            return self.begun.setdefault((caller, key), a_setup(order.buyer.account))

        @app.post("/internal/v1/payment-methods/setups/{card_setup}/confirm", dependencies=checked)
        async def confirm(card_setup: CardSetupId, account: AccountId, caller: Caller) -> CardSetup:
            for setup in self.begun.values():
                if (setup.id, setup.account) == (card_setup, account):
                    card = a_card(default=not self.cards)
                    self.cards[card.id] = (account, card)
                    return setup.model_copy(update={"state": "succeeded", "payment_method": card.id})
            raise NotFoundError

        self._add_saved(app)

    def _add_saved(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.get("/internal/v1/payment-methods", dependencies=checked)
        async def find_all(account: AccountId) -> Page[PaymentMethod]:
            return Page[PaymentMethod](data=[card for owner, card in self.cards.values() if owner == account])

        @app.put("/internal/v1/payment-methods/{payment_method}/default", dependencies=checked)
        async def make_default(payment_method: PaymentMethodId, account: AccountId) -> PaymentMethod:
            return self.card_of(account, payment_method).model_copy(update={"default": True})

        @app.delete("/internal/v1/payment-methods/{payment_method}", dependencies=checked, status_code=204)
        async def remove(payment_method: PaymentMethodId, account: AccountId) -> None:
            del self.cards[self.card_of(account, payment_method).id]


def a_setup(account: UUID) -> CardSetup:
    """Make up a wish to save a card."""
    return CardSetup(id=ids.new_id(), account=account, state="created", client_secret="seti_1_secret_1", created_at=NOW)


def a_card(*, default: bool) -> PaymentMethod:
    """Make up a saved card."""
    return PaymentMethod(
        id=ids.new_id(), brand="visa", last4="4242", exp_month=8, exp_year=2040, wallet=None, default=default,
        saved_at=NOW,
    )  # fmt: skip
