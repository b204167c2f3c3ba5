"""Events in: one operation per type; types we have nothing to say about pass by."""

from collections.abc import Sequence
from datetime import datetime

from faststream import AckPolicy

from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.accounts_v1 import AccountOpened
from libs.contracts.events.payments_v1 import GiftCardIssued, PaymentCardLearned, PaymentRefunded, PaymentSucceeded
from libs.contracts.topics import ACCOUNTS_EVENTS, PAYMENTS_EVENTS
from services.notifications import operations


def subscribe(consumers: Consumers, *, pool: Pool, clock: Clock) -> None:
    """Subscribe to the topics. Both park, so that nobody reads of a refund before his receipt."""

    async def on_account(events: Sequence[CloudEvent]) -> None:
        for event in events:
            if event.type == AccountOpened.type:
                await operations.learn_contact(pool, AccountOpened.of(event), at=clock.now())

    async def on_payment(events: Sequence[CloudEvent]) -> None:
        for event in events:
            await _record(pool, event, at=clock.now())

    consumers.subscribe(ACCOUNTS_EVENTS, on_account, ack_policy=AckPolicy.NACK_ON_ERROR, parks=True)
    consumers.subscribe(PAYMENTS_EVENTS, on_payment, ack_policy=AckPolicy.NACK_ON_ERROR, parks=True)


async def _record(pool: Pool, event: CloudEvent, *, at: datetime) -> None:
    if event.type == PaymentSucceeded.type:
        await operations.record_receipt(pool, PaymentSucceeded.of(event), at=at)
    elif event.type == PaymentCardLearned.type:
        await operations.learn_card(pool, PaymentCardLearned.of(event), at=at)
    elif event.type == PaymentRefunded.type:
        await operations.record_refund_notice(pool, PaymentRefunded.of(event), at=at)
    elif event.type == GiftCardIssued.type:
        await operations.record_gift_card(pool, GiftCardIssued.of(event), at=at)
