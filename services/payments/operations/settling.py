"""Payments that came, settled together: those that are told at once share a transaction.

Only those that need nothing but their purchase's own row, as most do: whoever settles a batch locks those rows in the
order of their ids, and waits for no other lock meanwhile. All others are settled one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.failpoints import reach
from libs.chassis.group_commit import GroupCommit
from libs.chassis.pool import Pool
from libs.chassis.telemetry import traceparent
from libs.contracts.events import PaymentSucceeded
from services.payments.domain.purchases import Purchase, Sight, difference
from services.payments.domain.stripe_objects import PaymentIntent, StripeEvent
from services.payments.operations import settlement
from services.payments.store import purchases

_LARGEST_BATCH = 50
_BATCHES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class _Paid:
    purchase: UUID
    event: StripeEvent
    intent: PaymentIntent
    traceparent: str | None
    at: datetime


class Settler:
    """Settles payments that came, in batches."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._commits = GroupCommit(self._settle_all, largest=_LARGEST_BATCH, at_once=_BATCHES_AT_ONCE)

    async def settle(self, purchase: UUID, event: StripeEvent, *, at: datetime) -> bool:
        """Settle the purchase that an event names as paid; False if that takes more, and nothing has happened."""
        intent = PaymentIntent.model_validate(event.object)
        return await self._commits.do(_Paid(purchase, event, intent, traceparent.get(), at))

    async def _settle_all(self, batch: Sequence[_Paid]) -> list[bool]:
        at = batch[-1].at
        async with self._pool.transaction() as conn:
            locked = await purchases.lock_all(conn, [paid.purchase for paid in batch])
            plain = {
                paid.purchase: paid
                for paid in batch
                if paid.purchase in locked and _is_plain(locked[paid.purchase], paid)
            }
            payments = {purchase: paid.intent.id for purchase, paid in plain.items()}
            revisions = await purchases.mark_paid(conn, payments, at=at)
            told = [
                outbox.written(
                    settlement.paid_event(locked[purchase], payments[purchase], revision=revision, at=at),
                    at=at,
                    traceparent=plain[purchase].traceparent,
                )
                for purchase, revision in revisions.items()
            ]
            if told:
                await outbox.append_messages(conn, PaymentSucceeded.topic.name, told, at=at)
                reach("payments.settle.before_commit")
        if told:
            reach("payments.settle.after_commit")
        for purchase in revisions:
            settlement.log_paid(purchase, payments[purchase])
        return [plain.get(paid.purchase) is paid and paid.purchase in revisions for paid in batch]


def _is_plain(purchase: Purchase, paid: _Paid) -> bool:
    """Tell whether it waits for just this payment, and nothing else depends on it."""
    return (
        not purchase.paid
        and purchase.state != "canceled"
        and purchase.quote.promo_code is None
        and purchase.gift_card is None
        and not purchase.paying.saves
        and paid.event.account is None
        and paid.event.livemode == purchase.livemode
        and paid.intent.status == "succeeded"
        and difference(purchase, Sight(paid.intent)) is None
    )
