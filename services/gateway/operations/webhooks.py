"""Stripe's webhooks: kept, and told once. This path needs our own database and nothing else."""

from datetime import datetime

from libs.chassis import failpoints, outbox
from libs.chassis.pool import Pool
from libs.contracts.events import StripeEventReceived
from services.gateway.domain.stripe_webhooks import StripeEvent
from services.gateway.store import stripe_events


async def keep(pool: Pool, event: StripeEvent, *, now: datetime) -> bool:
    """Keep an event and have it told, in one transaction; False if it was kept before, and so told before."""
    async with pool.transaction() as conn:
        fresh = await stripe_events.keep(conn, event, at=now)
        if fresh:
            await outbox.append(conn, StripeEventReceived(object_id=event.key, body=event.body), at=now)
        failpoints.reach("gateway.webhook.before_commit")
    failpoints.reach("gateway.webhook.after_commit")
    return fresh
