"""Disputes and early warnings of fraud, in the caller's transaction and under the lock of the purchase's row.

What the credits follow are totals, as of refunds: what banks have taken, less what they gave back. While a bank only
asks, or has not taken the money yet, what it disputes is set aside.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.events import DisputeClosed, DisputeOpened, DisputeUpdated, EarlyFraudWarning
from libs.contracts.events.payments_v1 import DisputeEvent
from services.payments.domain.disputes import (
    Dispute,
    at_stake,
    gone_minor,
    read_state,
    stand,
    taken_back,
    withdrawn_minor,
)
from services.payments.domain.errors import PurchaseStateError, RefundTooLargeError
from services.payments.domain.purchases import Purchase
from services.payments.domain.refunds import BY_WARNING, amount_to_refund, state_after
from services.payments.domain.stripe_objects import StripeDispute, StripeFraudWarning
from services.payments.operations.following_gift_cards import follow_gift_card
from services.payments.store import disputes, gift_cards, purchases, refunds


async def apply_disputes(conn: Connection, purchase: Purchase, seen: Sequence[StripeDispute], *, at: datetime) -> None:
    """Record what Stripe says of the disputes of a locked, paid purchase, and tell of each that has changed."""
    known = await disputes.of(conn, purchase.id)
    read = [
        Dispute(one.id, one.amount, one.reason, read_state(one.status), one.withdrawn) for one in seen if one.amount > 0
    ]
    changed = [dispute for dispute in read if known.get(dispute.id) != dispute]
    if not changed:
        return
    for dispute in changed:
        await disputes.put(conn, purchase.id, dispute, at=at)
    now = known | {dispute.id: dispute for dispute in changed}
    paid = purchase.quote.price.amount_minor
    withdrawn = withdrawn_minor(now.values(), paid_minor=paid)
    await purchases.mark_returned(
        conn,
        purchase.id,
        refunded_minor=purchase.refunded_minor,
        withdrawn_minor=withdrawn,
        state=state_after(refunded_minor=purchase.refunded_minor, paid_minor=paid, disputed=stand(now.values())),
    )
    gone = gone_minor(purchase, refunded_minor=purchase.refunded_minor, withdrawn_minor=withdrawn)
    for dispute in changed:
        await _tell(conn, purchase, dispute, is_new=dispute.id not in known, gone=gone, at=at)
    refunded = purchase.refunded_minor
    await follow_gift_card(conn, purchase, refunded_minor=refunded, withdrawn_minor=withdrawn, at=at)


async def _tell(
    conn: Connection, purchase: Purchase, dispute: Dispute, *, is_new: bool, gone: int, at: datetime
) -> None:
    said = {
        "account": purchase.account,
        "user": purchase.user,
        "purchase": purchase.id,
        "occurred_at": at,
        "dispute": dispute.id,
        "amount": purchase.money(dispute.amount_minor),
        "reason": dispute.reason,
        "take_back": taken_back(purchase, gone_minor=gone),
        "description": purchase.quote.description,
    }
    events: list[DisputeEvent] = []
    if is_new:
        stake = at_stake(purchase, dispute, gone_minor=gone) if dispute.state == "open" else []
        revision = await purchases.count_telling(conn, purchase.id)
        events.append(DisputeOpened(**said, revision=revision, set_aside=list(stake)))
    if dispute.state != "open":
        revision = await purchases.count_telling(conn, purchase.id)
        events.append(DisputeClosed(**said, revision=revision, outcome=dispute.state))
    elif not is_new:
        revision = await purchases.count_telling(conn, purchase.id)
        events.append(DisputeUpdated(**said, revision=revision, withdrawn=dispute.withdrawn))
    await outbox.append(conn, *events, at=at)
    log.warning("purchase.disputed", purchase=ids.show("purchase", purchase.id), state=dispute.state, id=dispute.id)


async def note_warning(
    conn: Connection, purchase: Purchase, warning: StripeFraudWarning, *, policies: Policies, at: datetime
) -> bool:
    """Record an early warning of fraud of a locked, paid purchase, once; False if it was known.

    Where the catalogue says so all that is left is refunded before anybody disputes it: the intent is recorded here,
    and the job that resolves refunds makes it.
    """
    if await disputes.warned_of(conn, warning.id):
        return False
    acts = policies.early_fraud_warning == "refund" and warning.actionable
    refund = await _intend_refund(conn, purchase, at=at) if acts else None
    await disputes.note_warning(
        conn, warning.id, purchase=purchase.id, fraud_type=warning.fraud_type, refund=refund, at=at
    )
    told = EarlyFraudWarning(
        account=purchase.account,
        user=purchase.user,
        purchase=purchase.id,
        revision=await purchases.count_telling(conn, purchase.id),
        occurred_at=at,
        fraud_type=warning.fraud_type,
        refund=refund,
        description=purchase.quote.description,
    )
    await outbox.append(conn, told, at=at)
    log.warning("purchase.fraud_warning", purchase=ids.show("purchase", purchase.id), fraud_type=warning.fraud_type)
    return True


async def _intend_refund(conn: Connection, purchase: Purchase, *, at: datetime) -> UUID | None:
    """Record that all that is left is to be refunded, whatever of its credits is spent.

    None if it is disputed, given back or redeemed by somebody.
    """
    before = await refunds.promised_minor(conn, purchase.id)
    if purchase.gift_card is not None and await gift_cards.redeemer(conn, purchase.gift_card):
        return None
    try:
        amount = amount_to_refund(purchase, None, before_minor=before)
    except (PurchaseStateError, RefundTooLargeError):
        return None
    refund = ids.new_id()
    await refunds.insert(
        conn,
        refund,
        purchase=purchase.id,
        amount_minor=amount,
        before_minor=before,
        reason="fraudulent",
        requested_by=BY_WARNING,
        at=at,
    )
    await gift_cards.follow_money(conn, purchase.id, at=at)
    return refund
