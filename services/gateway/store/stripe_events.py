"""Webhooks of Stripe, kept word for word."""

from collections.abc import Sequence
from datetime import datetime

from libs.chassis.pool import Connection
from services.gateway.domain.stripe_webhooks import StripeEvent


async def keep(conn: Connection, events: Sequence[StripeEvent], *, at: datetime) -> set[str]:
    """Keep events; returns the ids of those that we did not have. A concurrent twin waits for our commit.

    They are inserted in the order of their ids, so that of two who keep the same ones neither waits for the other.
    """
    rows = await conn.fetch(
        """INSERT INTO stripe_event (id, type, object_id, livemode, api_version, created, body, received_at)
           SELECT *, $8 FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[],
                                    $7::bytea[]) AS event (id) ORDER BY id
           ON CONFLICT DO NOTHING RETURNING id""",
        [event.id for event in events],
        [event.type for event in events],
        [event.object_id for event in events],
        [event.livemode for event in events],
        [event.api_version for event in events],
        [event.created for event in events],
        [event.raw for event in events],
        at,
    )
    return {row["id"] for row in rows}
