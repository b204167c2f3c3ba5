"""Stripe's events, verified by the gateway: facts that are final are taken from them, all others make us look."""

from dataclasses import dataclass
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from libs.chassis.telemetry import STRIPE_EVENTS
from libs.contracts.catalogue import Policies
from services.payments.clients.stripe import Stripe, StripeRefusedError
from services.payments.domain.purchases import Purchase, Sight
from services.payments.domain.stripe_objects import (
    Charge,
    PaymentIntent,
    StripeEvent,
    StripeFraudWarning,
    StripeObject,
)
from services.payments.operations import settlement
from services.payments.operations.card_events import CARDS, SETUPS, follow_cards
from services.payments.operations.disputing import note_warning
from services.payments.operations.looking import look
from services.payments.operations.settlement import Outcome
from services.payments.operations.settling import Settler
from services.payments.store import handled_events, purchases

PAID = "payment_intent.succeeded"
"""Final: the amount received never changes again, so the event itself is the fact."""

PAYMENTS = frozenset(
    {
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "checkout.session.completed",
        "checkout.session.expired",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
    }
)
"""They come in any order, and what they show may be over: we look where the payment stands now."""

REFUNDS = frozenset({"charge.refunded", "refund.created", "refund.updated", "refund.failed"})
"""The same, of money that goes back; also when that began at Stripe's dashboard."""

DISPUTES = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
"""The same, of money that a buyer's bank takes."""

FRAUD_WARNING = "radar.early_fraud_warning.created"
"""An issuer suspects a payment."""

CHARGED = "charge.succeeded"
"""It shows the card that paid, which the payment only names; it comes first, as a rule."""

_OF_A_PAYMENT = REFUNDS | DISPUTES | {FRAUD_WARNING}
"""Their objects name the payment that they are about."""

TAKEN_UP = PAYMENTS | _OF_A_PAYMENT | {PAID, CHARGED} | SETUPS | CARDS
"""All that an endpoint is to be subscribed to."""

LISTED = _OF_A_PAYMENT | SETUPS | CARDS
"""What reconciliation asks for again, as nothing else tells of it; Stripe lists 20 types at most."""


async def handle_stripe_event(
    pool: Pool, stripe: Stripe, settler: Settler, event: StripeEvent, *, policies: Policies, clock: Clock
) -> Outcome:
    """Apply an event, once, however often and late it comes. Raises UnavailableError if Stripe does not answer.

    An event that names a purchase of ours and does not fit it is quarantined; one that has nothing to do with us is
    ignored.
    """
    if event.type not in TAKEN_UP:
        return "ignored"
    if event.type in SETUPS | CARDS:
        outcome = await follow_cards(pool, stripe, event, clock=clock)
    elif event.type == CHARGED:
        outcome = await _note_card(pool, event, clock=clock)
    else:
        outcome = await _apply(pool, stripe, settler, event, clock=clock)
        if event.type == FRAUD_WARNING and outcome == "applied":
            await _heed(pool, event, policies=policies, clock=clock)
    if event.type in LISTED:  # noted afterwards: whoever dies before handles it once more
        async with pool.connection() as conn:
            await handled_events.put(conn, event.id, at=clock.now())
    STRIPE_EVENTS.labels(event.type, outcome).inc()
    return outcome


async def _apply(pool: Pool, stripe: Stripe, settler: Settler, event: StripeEvent, *, clock: Clock) -> Outcome:
    thing = _subject(event)
    if event.type == PAID and thing.purchase and await settler.settle(thing.purchase, event, at=clock.now()):
        return "applied"
    purchase = await _find(pool, thing)
    if (reason := _misfit(event, thing, purchase)) is not None:
        return await _put_aside(pool, reason, event, purchase, clock=clock)
    if purchase is None or (purchase.paid and event.type in PAYMENTS):
        return "ignored"
    if event.type == PAID:
        return await _settle(pool, purchase.id, event, clock=clock)
    try:
        return await look(pool, stripe, purchase.id, clock=clock, at=thing.payment, event_id=event.id)
    except StripeRefusedError:
        return await _put_aside(pool, "not_at_stripe", event, purchase, clock=clock)


async def _settle(pool: Pool, purchase: UUID, event: StripeEvent, *, clock: Clock) -> Outcome:
    sight = Sight(PaymentIntent.model_validate(event.object))
    async with pool.transaction() as conn:
        locked = await purchases.lock(conn, purchase)
        outcome = await settlement.apply(conn, locked, sight, at=clock.now(), event_id=event.id)
        reach("payments.settle.before_commit")
    reach("payments.settle.after_commit")
    return outcome


async def _note_card(pool: Pool, event: StripeEvent, *, clock: Clock) -> Outcome:
    """Note which card paid, for the receipt, and tell it if the payment was told without."""
    charge = Charge.model_validate(event.object)
    subject = _Subject(charge.ours("purchase"), charge.payment_intent)
    purchase = await _find(pool, subject)
    if purchase is None or charge.card is None or _misfit(event, subject, purchase):
        return "ignored"
    if purchase.payment_intent not in (None, charge.payment_intent):
        return "ignored"
    async with pool.transaction() as conn:
        await settlement.learn_card(conn, await purchases.lock(conn, purchase.id), charge.card, at=clock.now())
    return "applied"


async def _heed(pool: Pool, event: StripeEvent, *, policies: Policies, clock: Clock) -> None:
    """Record a warning of fraud, once the purchase is where Stripe shows it to be."""
    warning = StripeFraudWarning.model_validate(event.object)
    purchase = await _find(pool, _Subject(None, warning.payment_intent))
    async with pool.transaction() as conn:
        if purchase is not None and (locked := await purchases.lock(conn, purchase.id)).paid:
            await note_warning(conn, locked, warning, policies=policies, at=clock.now())
        reach("payments.fraud_warning.before_commit")


@dataclass(frozen=True, slots=True)
class _Subject:
    """What an event is about: our purchase, if its metadata names one, and the payment or payment page at Stripe."""

    purchase: UUID | None
    payment: str | None


def _subject(event: StripeEvent) -> _Subject:
    purchase = StripeObject.model_validate(event.object).ours("purchase")
    if event.type in _OF_A_PAYMENT:
        return _Subject(purchase, Charge.model_validate(event.object).payment_intent)
    return _Subject(purchase, str(event.object["id"]))


async def _find(pool: Pool, subject: _Subject) -> Purchase | None:
    async with pool.connection() as conn:
        if subject.purchase is not None:
            return await purchases.find(conn, subject.purchase)
        return await purchases.find_by_stripe_id(conn, subject.payment) if subject.payment else None


def _misfit(event: StripeEvent, subject: _Subject, purchase: Purchase | None) -> str | None:
    """Say why an event that claims to be about us cannot be applied."""
    if purchase is None:
        return "unknown_purchase" if subject.purchase is not None else None
    if event.account is not None:
        return "foreign_account"
    return "livemode" if event.livemode != purchase.livemode else None


async def _put_aside(
    pool: Pool, reason: str, event: StripeEvent, purchase: Purchase | None, *, clock: Clock
) -> Outcome:
    async with pool.transaction() as conn:
        await settlement.put_aside(conn, reason, event.object, purchase=purchase, event_id=event.id, at=clock.now())
    return "quarantined"
