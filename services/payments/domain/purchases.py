"""A purchase: the intent to exchange money for credits. Its states, and what makes it move from one to another."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from libs.contracts.events.payments_v1 import LotKind, LotToGrant, PaidByCard
from libs.contracts.http.payments_v1 import PurchaseState, Quote
from libs.contracts.money import Money
from services.payments.domain.stripe_objects import CheckoutSession, PaymentIntent, StripeDispute, StripeRefund

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

TO_ANSWER = timedelta(minutes=30)
"""How long a buyer has to answer what his bank asks."""

CancellationReason = Literal["abandoned", "requested_by_customer"]
"""Why we cancel a purchase: nobody has paid it in time, or its buyer wishes it. The words are Stripe's."""

_BY_STATUS: dict[str, PurchaseState] = {
    "requires_confirmation": "created",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "processing",
    "succeeded": "succeeded",
    "canceled": "canceled",
}


@dataclass(frozen=True, slots=True)
class PayingBy:
    """With what a purchase is paid: at once with a saved card (Stripe's id), or however the buyer likes."""

    card: str | None = None
    saves: bool = False
    """Whether the card that he pays with is saved."""


ANYHOW = PayingBy()
"""However he likes, and nothing is saved."""


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
    withdrawn_minor: int
    """What banks have of it by disputes."""
    created_at: datetime
    expires_at: datetime
    """Until when it is waited for."""
    takes_back: bool
    """Whether its credits go back with its money."""
    paid_at: datetime | None = None
    paid_revision: int | None = None
    """Under which revision it was told to be paid."""
    gift_card: UUID | None = None
    card: PaidByCard | None = None
    """The card that paid, if we know of one."""
    cancellation: str | None = None
    """Why Stripe has canceled it, as far as it says so."""
    asked_at: datetime | None = None
    """Since when the buyer's bank waits for his answer, as far as we have seen."""
    paying: PayingBy = ANYHOW

    @property
    def lots(self) -> list[LotToGrant]:
        """Tell the lots that it brings its buyer: none if it is of a gift card, which waits to be redeemed."""
        return [] if self.gift_card else lots_of(self.quote)

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

    def abandoned(self, at: datetime) -> bool:
        """Tell whether nobody has paid it in time, nor is about to: it is not on its way, nor is a bank just asking."""
        if self.state == "requires_action" and self.asked_at is not None and at < self.asked_at + TO_ANSWER:
            return False
        return self.expires_at <= at and self.state in ("created", "requires_action", "failed")

    def money(self, amount_minor: int) -> Money:
        """Write an amount in the purchase's currency."""
        return Money(amount_minor=amount_minor, currency=self.quote.price.currency)


@dataclass(frozen=True, slots=True)
class Sight:
    """What Stripe showed of a purchase at one moment."""

    intent: PaymentIntent | None
    session: CheckoutSession | None = None
    refunds: tuple[StripeRefund, ...] = ()
    disputes: tuple[StripeDispute, ...] = ()


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


def cancellation(purchase: Purchase, sight: Sight, *, at: datetime) -> str | None:
    """Tell why Stripe has canceled a payment, as far as it says so; a page that nobody has paid just expires."""
    if sight.session is not None and sight.session.status == "expired":
        return "abandoned" if purchase.expires_at <= at else None
    return sight.intent.cancellation_reason if sight.intent is not None else None


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


def lots_of(quote: Quote, *, paid_at: datetime | None = None) -> list[LotToGrant]:
    """Tell the lots that a purchase brings: one per kind, so bonuses of a kind that is there already are part of it.

    What expires does so by days from `paid_at`; a bonus of the kind purchased as what is bought. A lot has one expiry:
    where parts of it differ, the last one holds, in the customer's favour.
    """
    days = quote.expires_after_days
    parts = [("purchased", quote.credits, 0, days)]
    parts.append((quote.bonus_kind, quote.bonus, quote.bonus, quote.bonus_expires_after_days or days))
    for extra in (quote.tier and quote.tier.bonus, quote.promo_bonus):
        if extra:
            its_days = days if extra.kind == "purchased" else extra.expires_after_days
            parts.append((extra.kind, extra.credits, extra.credits, its_days))
    lots: dict[LotKind, LotToGrant] = {}
    for kind, credits, bonus, days_left in parts:
        if credits:
            ends = paid_at + timedelta(days=days_left) if paid_at is not None and days_left is not None else None
            part = {"kind": kind, "credits": credits, "bonus": bonus, "expires_at": ends}
            lot = LotToGrant.model_validate(part)
            lots[lot.kind] = _joined(lots[lot.kind], lot) if lot.kind in lots else lot
    return list(lots.values())


def _joined(one: LotToGrant, other: LotToGrant) -> LotToGrant:
    ends = max(one.expires_at, other.expires_at) if one.expires_at and other.expires_at else None
    credits, bonus = one.credits + other.credits, one.bonus + other.bonus
    return LotToGrant(kind=one.kind, credits=credits, bonus=bonus, expires_at=ends)
