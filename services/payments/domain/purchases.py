"""A purchase: the intent to exchange money for credits. Its states, and what makes it move from one to another."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.contracts.events.payments_v1 import LotToGrant
from libs.contracts.http.payments_v1 import PurchaseState, Quote
from libs.contracts.money import Money
from services.payments.domain.stripe_objects import CheckoutSession, PaymentIntent, StripeRefund

EDGES: dict[PurchaseState, frozenset[PurchaseState]] = {
    "created": frozenset({"unknown", "processing", "requires_action", "succeeded", "failed", "canceled"}),
    "unknown": frozenset({"created", "processing", "requires_action", "succeeded", "failed", "canceled"}),
    "processing": frozenset({"requires_action", "succeeded", "failed", "canceled"}),
    "requires_action": frozenset({"processing", "succeeded", "failed", "canceled"}),
    "failed": frozenset({"processing", "requires_action", "succeeded", "canceled"}),
    # Stripe never pays what it has canceled. But if it says that it has the money, the buyer gets his credits.
    "canceled": frozenset({"succeeded"}),
    "succeeded": frozenset({"partially_refunded", "refunded", "disputed"}),
    # a refund may fail after it succeeded, and the money is ours again
    "partially_refunded": frozenset({"succeeded", "refunded", "disputed"}),
    "refunded": frozenset({"succeeded", "partially_refunded", "disputed"}),
    "disputed": frozenset({"succeeded", "partially_refunded", "refunded"}),
}
"""From which state a purchase may go to which. Once paid it is never again unpaid."""

PAID: frozenset[PurchaseState] = frozenset({"succeeded", "partially_refunded", "refunded", "disputed"})
"""The states of a purchase whose money has come."""

_BY_STATUS: dict[str, PurchaseState] = {
    "requires_confirmation": "created",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "processing",
    "succeeded": "succeeded",
    "canceled": "canceled",
}


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase as it is recorded. `looks` counts how often Stripe's view of it has been applied."""

    id: UUID
    account: UUID
    user: UUID
    method: str
    quote: Quote
    return_url: str | None
    cancel_url: str | None
    livemode: bool
    state: PurchaseState
    revision: int
    looks: int
    stripe_customer: str | None
    payment_intent: str | None
    checkout_session: str | None
    client_secret: str | None
    checkout_url: str | None
    failure: str | None
    refunded_minor: int
    created_at: datetime
    expires_at: datetime

    @property
    def paid(self) -> bool:
        """Tell whether its money has come."""
        return self.state in PAID

    @property
    def at_stripe(self) -> bool:
        """Tell whether we know by what it is paid at Stripe: its payment page, or its payment."""
        return (self.checkout_session if self.method == "checkout" else self.payment_intent) is not None

    @property
    def over(self) -> bool:
        """Tell whether it ended without ever having had a payment at Stripe."""
        nothing_at_stripe = self.payment_intent is None and self.checkout_session is None
        return nothing_at_stripe and self.state in ("failed", "canceled")

    def money(self, amount_minor: int) -> Money:
        """Write an amount in the purchase's currency."""
        return Money(amount_minor=amount_minor, currency=self.quote.price.currency)


@dataclass(frozen=True, slots=True)
class Sight:
    """What Stripe showed of a purchase at one moment."""

    intent: PaymentIntent | None
    session: CheckoutSession | None = None
    refunds: tuple[StripeRefund, ...] = ()


def sources(state: PurchaseState) -> list[PurchaseState]:
    """Name the states from which this one may be reached."""
    return [source for source, targets in EDGES.items() if state in targets]


def standing(sight: Sight) -> PurchaseState:
    """Tell the state that a purchase has by what Stripe shows of its payment."""
    if sight.intent is not None and sight.intent.status in ("succeeded", "canceled"):
        return _BY_STATUS[sight.intent.status]
    if sight.session is not None and sight.session.status == "expired":
        return "canceled"
    if sight.intent is None:
        return "created"
    if sight.intent.status == "requires_payment_method":
        return "failed" if sight.intent.last_payment_error else "created"
    return _BY_STATUS.get(sight.intent.status, "processing")


def difference(purchase: Purchase, sight: Sight) -> str | None:
    """Name what of the payment differs from our own record, if anything; then it must credit nothing."""
    if sight.session is not None and purchase.checkout_session not in (None, sight.session.id):
        return "checkout_session"
    if sight.intent is None:
        return None
    intent, price = sight.intent, purchase.quote.price
    paid = intent.amount_received if intent.status == "succeeded" else intent.amount
    comparisons = {
        "livemode": (intent.livemode, purchase.livemode),
        "payment_intent": (intent.id, purchase.payment_intent or intent.id),
        "customer": (intent.customer, purchase.stripe_customer),
        "currency": (intent.currency, price.currency),
        "amount": ({intent.amount, paid}, {price.amount_minor}),
    }
    return next((name for name, (theirs, ours) in comparisons.items() if theirs != ours), None)


def lots_of(quote: Quote) -> list[LotToGrant]:
    """Tell the lots that a purchase brings: one per kind, so a bonus of the kind `purchased` is part of the one lot."""
    if quote.bonus == 0 or quote.bonus_kind == "purchased":
        return [LotToGrant(kind="purchased", credits=quote.credits + quote.bonus, bonus=quote.bonus)]
    extra = {"kind": quote.bonus_kind, "credits": quote.bonus, "bonus": quote.bonus}
    return [LotToGrant(kind="purchased", credits=quote.credits), LotToGrant.model_validate(extra)]
