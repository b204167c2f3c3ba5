"""Stripe's webhooks: kept, and told once. This path needs our own database and nothing else."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.chassis import failpoints, outbox
from libs.chassis.broker.producer import Message
from libs.chassis.group_commit import GroupCommit
from libs.chassis.pool import Pool
from libs.chassis.telemetry import traceparent
from libs.contracts.events import StripeEventReceived
from services.gateway.domain.stripe_webhooks import StripeEvent
from services.gateway.store import stripe_events

_LARGEST_BATCH = 32
_BATCHES_AT_ONCE = 2
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Received:
    event: StripeEvent
    told: Message
    at: datetime


class Intake:
    """Keeps events, those that come at once in one transaction. Each is known to be kept only after its commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._commits = GroupCommit(self._keep_all, largest=_LARGEST_BATCH, at_once=_BATCHES_AT_ONCE)

    async def keep(self, event: StripeEvent, *, now: datetime) -> bool:
        """Keep an event and have it told; False if it was kept before, and so told before. Raises TimeoutError."""
        received = StripeEventReceived(object_id=event.key, body=event.body)
        told = outbox.written(received, at=now, traceparent=traceparent.get())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await self._commits.do(_Received(event, told, now))

    async def _keep_all(self, batch: Sequence[_Received]) -> list[bool]:
        first: dict[str, _Received] = {}
        for received in batch:
            first.setdefault(received.event.id, received)
        async with asyncio.timeout(_PATIENCE_SECONDS), self._pool.transaction() as conn:
            at = batch[-1].at
            new = await stripe_events.keep(conn, [received.event for received in first.values()], at=at)
            if told := [received.told for id, received in first.items() if id in new]:
                await outbox.append_messages(conn, StripeEventReceived.topic.name, told, at=at)
            failpoints.reach("gateway.webhook.before_commit")
        failpoints.reach("gateway.webhook.after_commit")
        return [first[one.event.id] is one and one.event.id in new for one in batch]
