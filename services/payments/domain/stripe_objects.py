"""What we read of Stripe's objects, as their JSON has it, in answers and in events alike (API 2026-10-28.endive)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.contracts import ids
from libs.contracts.events.payments_v1 import PaidByCard

Metadata = dict[str, str]


class StripeObject(BaseModel):
    """An object of Stripe's; we read the fields we use and leave the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    metadata: Metadata = Field(default_factory=dict)

    def ours(self, kind: str) -> UUID | None:
        """Tell the id of ours that the metadata carries under this name; None if there is none that can be read."""
        try:
            return ids.read(kind, self.metadata.get(kind, ""))
        except ValueError:
            return None


class PaymentError(BaseModel):
    """Why the last try to pay failed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str | None = None
    message: str | None = None
    charge: str | None = None
    payment_method: dict[str, Any] | None = None

    @property
    def attempt(self) -> str:
        """Name the attempt that failed: by its charge or, if there is none, by its payment method and the error."""
        method = (self.payment_method or {}).get("id", "none")
        return self.charge or f"{method}:{self.code}"

    @property
    def reason(self) -> str:
        """Say why in words that Stripe means for the buyer."""
        return self.message or self.code or "the payment failed"


class Charge(StripeObject):
    """The charge that a payment made. Of a refund or a dispute we only ask the same: what it belongs to."""

    payment_intent: str | None = None
    payment_method_details: dict[str, Any] | None = None

    @property
    def card(self) -> PaidByCard | None:
        """Tell what may be shown of the card that paid; None if it was none."""
        card = (self.payment_method_details or {}).get("card") or {}
        brand, last4 = card.get("brand"), card.get("last4")
        return PaidByCard(brand=brand, last4=last4) if brand and last4 else None


class PaymentIntent(StripeObject):
    """A payment, from the intent to the money."""

    status: str
    amount: int
    amount_received: int = 0
    currency: str
    customer: str | None = None
    livemode: bool
    client_secret: str | None = None
    last_payment_error: PaymentError | None = None
    cancellation_reason: str | None = None
    latest_charge: Charge | str | None = None

    @property
    def card(self) -> PaidByCard | None:
        """Tell what may be shown of the card that paid; None if it was none, or Stripe was not asked."""
        return self.latest_charge.card if isinstance(self.latest_charge, Charge) else None


class SetupIntent(StripeObject):
    """The intent to save a card; `payment_method` is the card that was given last."""

    status: str
    client_secret: str | None = None
    payment_method: str | None = None
    last_setup_error: PaymentError | None = None


class CardWallet(BaseModel):
    """The wallet that a card is in."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str


class CardDetails(BaseModel):
    """What may be shown of a card. A fingerprint is the same for the same number."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str | None = None
    wallet: CardWallet | None = None


class StripeCard(StripeObject):
    """A payment method that is a card."""

    created: int
    card: CardDetails

    @property
    def number(self) -> str:
        """Tell the card's number from others, without knowing it."""
        return self.card.fingerprint or self.id


class InvoiceSettings(BaseModel):
    """What a customer's invoices are paid with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    default_payment_method: str | None = None


class StripeCustomer(StripeObject):
    """A customer; of one that was deleted nothing is left."""

    deleted: bool = False
    invoice_settings: InvoiceSettings = InvoiceSettings()


class CheckoutSession(StripeObject):
    """A hosted payment page. Its payment intent appears once somebody has begun to pay."""

    status: str | None = None
    url: str | None = None
    livemode: bool
    payment_intent: PaymentIntent | str | None = None


class StripeRefund(StripeObject):
    """A refund, ours or one begun at Stripe's dashboard."""

    amount: int
    currency: str
    status: str
    reason: str | None = None
    failure_reason: str | None = None


class Moved(BaseModel):
    """What a dispute moved on our balance with Stripe, in the balance's own currency: below zero it was taken."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    amount: int
    created: int = 0


class StripeDispute(StripeObject):
    """A dispute or an inquiry."""

    amount: int
    currency: str
    status: str
    reason: str
    payment_intent: str | None = None
    balance_transactions: tuple[Moved, ...] = ()

    @property
    def withdrawn(self) -> bool:
        """Tell whether the bank has the money: it was taken, and not given back after.

        The amounts are not compared: what is converted when it is taken and when it is given back differs by the rates.
        """
        moved = [each.amount for each in sorted(self.balance_transactions, key=lambda one: one.created) if each.amount]
        return bool(moved) and moved[-1] < 0


class StripeFraudWarning(BaseModel):
    """An issuer's early warning; `actionable` while a refund would still help."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    fraud_type: str
    actionable: bool
    payment_intent: str | None = None


class StripeEvent(BaseModel):
    """An event. `account` is set when it comes from an account connected to ours, whose money is not ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    type: str
    livemode: bool
    account: str | None = None
    object: dict[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "StripeEvent":
        """Read an event's body. Raises ValueError (pydantic's) if it is none."""
        data = body.get("data")
        return cls.model_validate({**body, "object": data.get("object") if isinstance(data, Mapping) else None})
