"""Applying what Stripe says, in the caller's transaction and under the lock of the purchase's row.

Money that came is told once, as PaymentSucceeded; money that went back is told as totals, as PaymentRefunded.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import PAYMENTS_QUARANTINED, log
from libs.contracts import ids
from libs.contracts.events import (
    PaymentCardLearned,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
)
from libs.contracts.events.payments_v1 import LotToTakeBack, PaidByCard
from services.payments.domain.disputes import gone_minor, stand, taken_back
from services.payments.domain.purchases import Purchase, Sight, cancellation, difference, lots_of, standing
from services.payments.domain.refunds import (
    Refund,
    counted,
    newly_failed,
    read_status,
    refunded_minor,
    state_after,
)
from services.payments.domain.stripe_objects import PaymentError, PaymentIntent, StripeDispute, StripeRefund
from services.payments.operations import redeeming
from services.payments.operations.disputing import apply_disputes
from services.payments.operations.ending import end
from services.payments.operations.following_gift_cards import follow_gift_card
from services.payments.store import customers, disputes, gift_cards, purchases, quarantine, refunds

Outcome = Literal["applied", "quarantined", "ignored"]
Returned = TypeVar("Returned", StripeRefund, StripeDispute)


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
        await _settle(conn, purchase, sight.intent, at=at)
        return await _apply_returns(conn, purchase, sight, at=at, event_id=event_id)
    if purchase.paid:
        log.error("purchase.paid_but_not_at_stripe", purchase=ids.show("purchase", purchase.id), theirs=state)
    elif state == "failed" and sight.intent is not None and sight.intent.last_payment_error is not None:
        await _fail(conn, purchase, sight.intent.last_payment_error, at=at)
    elif state == "canceled":
        await end(conn, purchase.id, state, cancellation=cancellation(purchase, sight, at=at))
    else:
        await purchases.move(conn, purchase.id, state, asked_at=at if state == "requires_action" else None)
    return "applied"


async def _apply_returns(
    conn: Connection, purchase: Purchase, sight: Sight, *, at: datetime, event_id: str | None
) -> Outcome:
    outcome: Outcome = "applied"
    if sight.refunds:
        paid = await purchases.get(conn, purchase.id)
        outcome = await apply_refunds(conn, paid, sight.refunds, at=at, event_id=event_id)
    if sight.disputes:
        paid = await purchases.get(conn, purchase.id)
        fitting = await _fitting(conn, paid, "dispute_currency", sight.disputes, at=at, event_id=event_id)
        await apply_disputes(conn, paid, fitting, at=at)
        outcome = outcome if len(fitting) == len(sight.disputes) else "quarantined"
    return outcome


async def _fitting(
    conn: Connection, purchase: Purchase, reason: str, seen: Sequence[Returned], *, at: datetime, event_id: str | None
) -> list[Returned]:
    """Give what is in the purchase's currency, and put aside what is not."""
    fitting = [thing for thing in seen if thing.currency == purchase.quote.price.currency]
    for thing in seen:
        if thing not in fitting:
            body = thing.model_dump(mode="json")
            await put_aside(conn, reason, body, purchase=purchase, event_id=event_id, at=at)
    return fitting


async def apply_refunds(
    conn: Connection, purchase: Purchase, seen: Sequence[StripeRefund], *, at: datetime, event_id: str | None = None
) -> Outcome:
    """Record what Stripe says of the refunds of a locked, paid purchase, and tell what has changed by it.

    Their total is told if it changed, or if other refunds make it up: what was set aside for each is to be taken or
    free. Each that has failed is told by itself. One in another currency is quarantined, and changes nothing.
    """
    before = await refunds.decided(conn, purchase.id)
    fitting = await _fitting(conn, purchase, "refund_currency", seen, at=at, event_id=event_id)
    for refund in fitting:
        await _learn(conn, purchase, refund, at=at)
    decided = await refunds.decided(conn, purchase.id)
    await _tell_refunded(conn, purchase, before, decided, at=at)
    refunded, withdrawn = refunded_minor(decided), purchase.withdrawn_minor
    await follow_gift_card(conn, purchase, refunded_minor=refunded, withdrawn_minor=withdrawn, at=at)
    for one in newly_failed(before, decided):
        await tell_failed(conn, purchase, one, decided, at=at)
    return "applied" if len(fitting) == len(seen) else "quarantined"


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


def to_take_back(purchase: Purchase) -> list[LotToTakeBack]:
    """Tell the credits that are to have gone back, in total, as was told last."""
    return _taken_back(purchase, purchase.refunded_minor)


async def _know(conn: Connection, purchase: Purchase, sight: Sight) -> None:
    """Record Stripe's ids, where an event came before the answer that would have told them."""
    if sight.session is not None and purchase.checkout_session is None:
        await purchases.know_checkout_session(conn, purchase.id, session=sight.session.id, url=sight.session.url)
    if sight.intent is not None and purchase.payment_intent is None:
        secret = sight.intent.client_secret if purchase.method == "payment_intent" else None
        await purchases.know_payment_intent(conn, purchase.id, payment_intent=sight.intent.id, client_secret=secret)


async def _settle(conn: Connection, purchase: Purchase, intent: PaymentIntent, *, at: datetime) -> None:
    revision = (await purchases.mark_paid(conn, {purchase.id: intent.id}, at=at)).get(purchase.id)
    if revision is None:
        return
    if purchase.state == "canceled":
        log.error("purchase.paid_after_cancel", purchase=ids.show("purchase", purchase.id))
    if purchase.paying.saves:
        await customers.have_cards_seen_to(conn, purchase.account, livemode=purchase.livemode, at=at)
    await redeeming.keep(conn, purchase)
    if intent.card is not None:
        await purchases.note_card(conn, purchase.id, intent.card)
        purchase = replace(purchase, card=intent.card)
    told = paid_event(purchase, intent.id, revision=revision, at=at)
    if purchase.gift_card is not None:
        await gift_cards.issue(conn, purchase.id, at=at)
    await outbox.append(conn, told, at=at)
    log_paid(purchase.id, intent.id)


async def learn_card(conn: Connection, purchase: Purchase, card: PaidByCard, *, at: datetime) -> None:
    """Note which card paid; of a payment that was told without, tell it now. The purchase is locked."""
    if purchase.card == card:
        return
    await purchases.note_card(conn, purchase.id, card)
    if purchase.paid and purchase.card is None:
        told = PaymentCardLearned(
            account=purchase.account,
            user=purchase.user,
            purchase=purchase.id,
            revision=await purchases.count_telling(conn, purchase.id),
            occurred_at=at,
            card=card,
        )
        await outbox.append(conn, told, at=at)


def log_paid(purchase: UUID, payment_intent: str) -> None:
    """Say in the log that the money of a purchase came."""
    log.info("purchase.paid", purchase=ids.show("purchase", purchase), payment_intent=payment_intent)


def paid_event(purchase: Purchase, payment_intent: str, *, revision: int, at: datetime) -> PaymentSucceeded:
    """Write that the money of a purchase came."""
    return PaymentSucceeded(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=revision,
        occurred_at=at,
        paid=purchase.quote.price,
        lots=[] if purchase.gift_card else lots_of(purchase.quote, paid_at=at),
        payment_intent=payment_intent,
        pack=purchase.quote.pack,
        description=purchase.quote.description,
        promo_code=purchase.quote.promo_code,
        discount=purchase.quote.discount if purchase.quote.discounts else None,
        discounts=purchase.quote.discounts,
        tier=purchase.quote.tier.name if purchase.quote.tier else None,
        card=purchase.card,
        gift_card=purchase.gift_card,
    )


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


async def _tell_refunded(
    conn: Connection, purchase: Purchase, before: Sequence[Refund], decided: Sequence[Refund], *, at: datetime
) -> None:
    """Tell how much has gone back in total, if that has changed or other refunds make it up than did before."""
    total, paid = refunded_minor(decided), purchase.quote.price.amount_minor
    disputed = stand((await disputes.of(conn, purchase.id)).values())
    state = state_after(refunded_minor=total, paid_minor=paid, disputed=disputed)
    changed = await purchases.mark_returned(
        conn, purchase.id, refunded_minor=total, withdrawn_minor=purchase.withdrawn_minor, state=state
    )
    if not (changed or counted(before) != counted(decided)) or purchase.payment_intent is None:
        return
    revision = await purchases.count_telling(conn, purchase.id)
    told = refunded_event(purchase, decided, purchase.payment_intent, revision=revision, at=at)
    await outbox.append(conn, told, at=at)
    log.info("purchase.refunded", purchase=ids.show("purchase", purchase.id), total=str(told.refunded))


def refunded_event(
    purchase: Purchase, decided: Sequence[Refund], payment_intent: str, *, revision: int, at: datetime
) -> PaymentRefunded:
    """Write how much money of a purchase went back in total."""
    total = refunded_minor(decided)
    return PaymentRefunded(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=revision,
        occurred_at=at,
        paid=purchase.quote.price,
        refunded=purchase.money(total),
        take_back=_taken_back(purchase, total),
        refunds=[refund.id for refund in decided],
        payment_intent=payment_intent,
        description=purchase.quote.description,
        paid_at=purchase.paid_at,
        card=purchase.card,
    )


async def tell_failed(
    conn: Connection, purchase: Purchase, refund: Refund, decided: Sequence[Refund], *, at: datetime
) -> None:
    """Tell that no money went back by a refund, so that what was set aside for it is free."""
    told = PaymentRefundFailed(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=await purchases.count_telling(conn, purchase.id),
        occurred_at=at,
        refund=refund.id,
        amount=purchase.money(refund.amount_minor),
        reason=refund.failure,
        take_back=_taken_back(purchase, refunded_minor(decided)),
        refunds=[one.id for one in decided],
        description=purchase.quote.description,
    )
    await outbox.append(conn, told, at=at)
    log.warning("refund.failed", refund=ids.show("refund", refund.id), reason=refund.failure)


def _taken_back(purchase: Purchase, total: int) -> list[LotToTakeBack]:
    gone = gone_minor(purchase, refunded_minor=total, withdrawn_minor=purchase.withdrawn_minor)
    return taken_back(purchase, gone_minor=gone)
