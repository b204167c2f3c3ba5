"""Kafka in: Stripe's events, as the gateway has verified and stored them."""

from collections.abc import Sequence

from faststream import AckPolicy

from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Policies
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import StripeEventReceived
from libs.contracts.topics import STRIPE_EVENTS
from services.payments.clients.stripe import Stripe
from services.payments.domain.stripe_objects import StripeEvent
from services.payments.operations.settling import Settler
from services.payments.operations.stripe_events import handle_stripe_event

_CUSTOMERS_AT_ONCE = 32
"""Customers whose events are handled at once; their payments share transactions, up to the settler's largest batch."""


def subscribe(consumers: Consumers, pool: Pool, stripe: Stripe, clock: Clock, *, policies: Policies) -> None:
    """Consume Stripe's events. A dead letter parks its customer: what follows may build on it."""
    settler = Settler(pool)

    async def handle(events: Sequence[CloudEvent]) -> None:
        for event in events:
            if event.type == StripeEventReceived.type:
                body = StripeEventReceived.of(event).body
                told = StripeEvent.of(body)
                await handle_stripe_event(pool, stripe, settler, told, policies=policies, clock=clock)

    consumers.subscribe(
        STRIPE_EVENTS, handle, ack_policy=AckPolicy.NACK_ON_ERROR, parks=True, keys_at_once=_CUSTOMERS_AT_ONCE
    )
