"""The quarantine: what Stripe told us that does not agree with our record."""

from datetime import datetime
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.ids import new_id


async def put(
    conn: Connection,
    *,
    reason: str,
    object_id: str,
    event_id: str | None,
    purchase: UUID | None,
    body: dict[str, Any],
    at: datetime,
) -> bool:
    """Keep it for people to look into; False if it is there already."""
    return (
        await conn.fetchval(
            """INSERT INTO quarantine (id, reason, object_id, event_id, purchase, body, recorded_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING true""",
            new_id(),
            reason,
            object_id,
            event_id,
            purchase,
            body,
            at,
        )
        is True
    )
