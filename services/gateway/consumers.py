"""Kafka in: what credits tells of balances, handed on to the streams that watch them."""

from collections.abc import Sequence

from faststream import AckPolicy

from libs.chassis.broker.subscriptions import Consumers
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import BalanceChanged
from libs.contracts.topics import CREDITS_EVENTS
from services.gateway.clients.live_balances import Announcer
from services.gateway.operations import live


def subscribe(consumers: Consumers, announcer: Announcer) -> None:
    """Consume what credits tells. A balance replaces the one before it, so nothing waits behind a dead letter."""

    async def announce(events: Sequence[CloudEvent]) -> None:
        await live.announce(
            announcer, [BalanceChanged.of(event) for event in events if event.type == BalanceChanged.type]
        )

    consumers.subscribe(CREDITS_EVENTS, announce, ack_policy=AckPolicy.NACK_ON_ERROR, parks=False, whole_batches=True)
