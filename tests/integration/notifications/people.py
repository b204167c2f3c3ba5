"""People who open accounts, pay and get money back, as the other services tell of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events.accounts_v1 import AccountOpened
from libs.contracts.events.payments_v1 import (
    LotToGrant,
    LotToTakeBack,
    PaidByCard,
    PaymentCardLearned,
    PaymentRefunded,
    PaymentSucceeded,
)
from libs.contracts.money import Money

VISA = PaidByCard(brand="visa", last4="4242")
NOW = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    """Somebody with an account and one purchase of 24.99 dollars."""

    account: UUID = field(default_factory=ids.new_id)
    user: UUID = field(default_factory=ids.new_id)
    purchase: UUID = field(default_factory=ids.new_id)
    name: str = "Ada Lovelace"

    @property
    def email(self) -> str:
        """Tell an address that nobody else has."""
        return f"{self.user.hex}@example.com"

    def opened(self, **changes: Any) -> AccountOpened:
        """Tell that he signed up."""
        facts = {"account": self.account, "user": self.user, "email": self.email, "name": self.name}
        return AccountOpened(**{**facts, **changes})

    def paid(self, **changes: Any) -> PaymentSucceeded:
        """Tell that he paid."""
        lots = [LotToGrant(kind="purchased", credits=160 * MICRO, bonus=10 * MICRO)]
        return PaymentSucceeded(**{**self._payment(), "revision": 1, "lots": lots, "card": VISA, **changes})

    def card_learned(self) -> PaymentCardLearned:
        """Tell that his payment was made by a card, which was not known before."""
        return PaymentCardLearned(
            account=self.account, user=self.user, purchase=self.purchase, revision=2, occurred_at=NOW, card=VISA
        )

    def refunded(self, total_minor: int, *, revision: int) -> PaymentRefunded:
        """Tell that so much went back to him so far."""
        return PaymentRefunded(
            **self._payment(),
            revision=revision,
            refunded=Money(amount_minor=total_minor, currency="usd"),
            take_back=[LotToTakeBack(kind="purchased", credits=0)],
        )

    def _payment(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "user": self.user,
            "purchase": self.purchase,
            "occurred_at": NOW,
            "paid": Money(amount_minor=2499, currency="usd"),
            "payment_intent": "pi_3SXk2e",
            "description": "Pro: 150 + 10 credits",
        }
