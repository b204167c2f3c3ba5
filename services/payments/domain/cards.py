"""Saved cards, and the wishes to save one: their states, and which card is the default."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from libs.contracts.http.payment_methods_v1 import CardSetupState
from services.payments.domain.stripe_objects import SetupIntent, StripeCard

MOST_CARDS = 10
"""How many cards an account may have saved, and how many it may be about to save: they could be tried out here."""

SETUP_LIFE = timedelta(hours=24)
"""How long a card is waited for."""

CardState = Literal["saved", "removing", "removed"]


@dataclass(frozen=True, slots=True)
class CardSetup:
    """The wish to save a card, as it is recorded; `method` is the card that was saved, under Stripe's id."""

    id: UUID
    account: UUID
    user: UUID
    livemode: bool
    state: CardSetupState
    setup_intent: str | None
    client_secret: str | None
    method: str | None
    failure: str | None
    created_at: datetime
    expires_at: datetime
    card: UUID | None
    """The saved card, under our id."""

    @property
    def open(self) -> bool:
        """Tell whether a card may still come."""
        return self.state not in ("succeeded", "canceled")


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card that Stripe keeps, as it is recorded; `method` is Stripe's id."""

    id: UUID
    account: UUID
    method: str
    state: CardState
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    wallet: str | None
    fingerprint: str
    saved_at: datetime
    default: bool


def setup_standing(intent: SetupIntent) -> CardSetupState:
    """Tell the state that a setup has by what Stripe shows of its intent."""
    match intent.status:
        case "requires_action" | "processing" | "succeeded" | "canceled":
            return intent.status
        case "requires_payment_method" if intent.last_setup_error is not None:
            return "failed"
        case _:
            return "created"


def with_states(shown: Sequence[StripeCard]) -> list[tuple[StripeCard, CardState]]:
    """Tell which of the cards that Stripe keeps, the newest first, stay: of a number the newest.

    That one has the expiry and the bank's consent of today. What is to go comes first, then the oldest.
    """
    newest: dict[str, StripeCard] = {}
    for card in shown:
        newest.setdefault(card.number, card)
    states: list[tuple[StripeCard, CardState]] = [
        (card, "saved" if newest[card.number] is card else "removing") for card in reversed(shown)
    ]
    return sorted(states, key=lambda one: one[1])


def next_default(cards: Sequence[SavedCard], default: str | None) -> SavedCard | None:
    """Tell which card, the newest first, is to become the default; None if the default may stay, or there is no card.

    A card that was saved again follows itself. What is no card may stay: somebody chose it at Stripe's dashboard.
    """
    saved = [card for card in cards if card.state == "saved"]
    current = next((card for card in cards if card.method == default), None)
    if default is not None and (current is None or current.state == "saved"):
        return None
    again = [card for card in saved if current is not None and card.fingerprint == current.fingerprint]
    return next(iter(again or saved), None)
