"""Applying what Stripe says, in the caller's transaction and under the lock of the purchase's row.

Money that came is told once, as PaymentSucceeded; money that went back is told as totals, as PaymentRefunded.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import PAYMENTS_QUARANTINED, log
from libs.contracts import ids
from libs.contracts.events import PaymentFailed, PaymentRefunded, PaymentSucceeded
from services.payments.domain.purchases import Purchase, Sight, difference, lots_of, standing
from services.payments.domain.refunds import read_status, state_after, take_back
from services.payments.domain.stripe_objects import PaymentError, StripeRefund
from services.payments.store import purchases, quarantine, refunds

Outcome = Literal["applied", "quarantined", "ignored"]


async def apply(
    conn: Connection, purchase: Purchase, sight: Sight, *, at: datetime, event_id: str | None = None
) -> Outcome:
    """Bring a locked purchase to where Stripe shows it to be; repeating it changes nothing.

    What differs from our record in amount, currency, customer, mode or payment is quarantined and credits nothing.
    """
    if reason := difference(purchase, sight):
        thing = sight.intent or sight.session
        body = {} if thing is None else thing.model_dump(mode="json")
        await put_aside(conn, reason, body, purchase=purchase, event_id=event_id, at=at)
        return "quarantined"
    await _know(conn, purchase, sight)
    state = standing(sight)
    if state == "succeeded" and sight.intent is not None:
        await _settle(conn, purchase, sight.intent.id, at=at)
        if sight.refunds:
            paid = await purchases.get(conn, purchase.id)
            return await apply_refunds(conn, paid, sight.refunds, at=at, event_id=event_id)
    elif purchase.paid:
        log.error("purchase.paid_but_not_at_stripe", purchase=ids.show("purchase", purchase.id), theirs=state)
    elif state == "failed" and sight.intent is not None and sight.intent.last_payment_error is not None:
        await _fail(conn, purchase, sight.intent.last_payment_error, at=at)
    else:
        await purchases.move(conn, purchase.id, state)
    return "applied"


async def apply_refunds(
    conn: Connection, purchase: Purchase, seen: Sequence[StripeRefund], *, at: datetime, event_id: str | None = None
) -> Outcome:
    """Record what Stripe says of the refunds of a locked, paid purchase, and tell their total if it has changed."""
    for refund in seen:
        if refund.currency != purchase.quote.price.currency:
            body = refund.model_dump(mode="json")
            await put_aside(conn, "refund_currency", body, purchase=purchase, event_id=event_id, at=at)
            return "quarantined"
        await _learn(conn, purchase, refund, at=at)
    total = await refunds.refunded_minor(conn, purchase.id)
    await _tell_refunded(conn, purchase, total, at=at)
    return "applied"


async def put_aside(
    conn: Connection,
    reason: str,
    body: dict[str, Any],
    *,
    purchase: Purchase | None,
    event_id: str | None,
    at: datetime,
) -> None:
    """Keep what does not agree with our record for people to look into, and raise the alarm, once."""
    kept = await quarantine.put(
        conn,
        reason=reason,
        object_id=str(body["id"]),
        event_id=event_id,
        purchase=purchase.id if purchase else None,
        body={name: value for name, value in body.items() if name != "client_secret"},
        at=at,
    )
    if kept:
        PAYMENTS_QUARANTINED.labels(reason).inc()
        whose = ids.show("purchase", purchase.id) if purchase else None
        log.error("payment.quarantined", reason=reason, object_id=body["id"], event_id=event_id, purchase=whose)


async def _know(conn: Connection, purchase: Purchase, sight: Sight) -> None:
    """Record Stripe's ids, where an event came before the answer that would have told them."""
    if sight.session is not None and purchase.checkout_session is None:
        await purchases.know_checkout_session(conn, purchase.id, session=sight.session.id, url=sight.session.url)
    if sight.intent is not None and purchase.payment_intent is None:
        secret = sight.intent.client_secret if purchase.method == "payment_intent" else None
        await purchases.know_payment_intent(conn, purchase.id, payment_intent=sight.intent.id, client_secret=secret)


async def _settle(conn: Connection, purchase: Purchase, payment_intent: str, *, at: datetime) -> None:
    revision = await purchases.mark_paid(conn, purchase.id, payment_intent=payment_intent, at=at)
    if revision is None:
        return
    if purchase.state == "canceled":
        log.error("purchase.paid_after_cancel", purchase=ids.show("purchase", purchase.id))
    told = PaymentSucceeded(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=revision,
        occurred_at=at,
        paid=purchase.quote.price,
        lots=lots_of(purchase.quote),
        payment_intent=payment_intent,
        pack=purchase.quote.pack,
        description=purchase.quote.description,
    )
    await outbox.append(conn, told, at=at)
    log.info("purchase.paid", purchase=ids.show("purchase", purchase.id), payment_intent=payment_intent)


async def _fail(conn: Connection, purchase: Purchase, error: PaymentError, *, at: datetime) -> None:
    await purchases.move(conn, purchase.id, "failed", failure=error.reason)
    revision = await purchases.note_failed_attempt(conn, purchase.id, attempt=error.attempt, reason=error.reason, at=at)
    if revision is None:
        return
    told = PaymentFailed(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=revision,
        occurred_at=at,
        amount=purchase.quote.price,
        reason=error.reason,
        description=purchase.quote.description,
    )
    await outbox.append(conn, told, at=at)
    log.info("purchase.failed", purchase=ids.show("purchase", purchase.id), reason=error.code)


async def _learn(conn: Connection, purchase: Purchase, refund: StripeRefund, *, at: datetime) -> None:
    state, own = read_status(refund.status), refund.ours("refund")
    if await refunds.learn(conn, purchase.id, own, stripe_refund=refund.id, state=state, failure=refund.failure_reason):
        return
    await refunds.adopt(
        conn,
        ids.new_id(),
        purchase=purchase.id,
        amount_minor=refund.amount,
        reason=refund.reason,
        stripe_refund=refund.id,
        state=state,
        failure=refund.failure_reason,
        at=at,
    )


async def _tell_refunded(conn: Connection, purchase: Purchase, total: int, *, at: datetime) -> None:
    paid = purchase.quote.price.amount_minor
    state = state_after(refunded_minor=total, paid_minor=paid)
    revision = await purchases.mark_refunded(conn, purchase.id, refunded_minor=total, state=state)
    if revision is None or purchase.payment_intent is None:
        return
    told = PaymentRefunded(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=revision,
        occurred_at=at,
        paid=purchase.quote.price,
        refunded=purchase.money(total),
        take_back=take_back(lots_of(purchase.quote), refunded_minor=total, paid_minor=paid),
        payment_intent=purchase.payment_intent,
        description=purchase.quote.description,
    )
    await outbox.append(conn, told, at=at)
    log.info("purchase.refunded", purchase=ids.show("purchase", purchase.id), total=str(told.refunded))
