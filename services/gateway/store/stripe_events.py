"""Webhooks of Stripe, kept word for word."""

from datetime import datetime

from libs.chassis.pool import Connection
from services.gateway.domain.stripe_webhooks import StripeEvent


async def keep(conn: Connection, event: StripeEvent, *, at: datetime) -> bool:
    """Keep an event; False if we had it already. A concurrent twin waits for our commit."""
    return (
        await conn.fetchval(
            """INSERT INTO stripe_event (id, type, object_id, livemode, api_version, created, body, received_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING true""",
            event.id,
            event.type,
            event.object_id,
            event.livemode,
            event.api_version,
            event.created,
            event.raw,
            at,
        )
        is True
    )
