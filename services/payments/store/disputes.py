"""Disputes, and early warnings of fraud."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from services.payments.domain.disputes import Dispute


async def of(conn: Connection, purchase: UUID) -> dict[str, Dispute]:
    """Read the disputes of a purchase by their ids, the oldest first."""
    rows = await conn.fetch(
        """SELECT id, amount_minor, reason, state, withdrawn FROM dispute
            WHERE purchase = $1 ORDER BY opened_at, id""",
        purchase,
    )
    return {row["id"]: Dispute(**row) for row in rows}


async def put(conn: Connection, purchase: UUID, dispute: Dispute, *, at: datetime) -> None:
    """Record a dispute as it is now."""
    await conn.execute(
        """INSERT INTO dispute (id, purchase, amount_minor, reason, state, withdrawn, opened_at, changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
           ON CONFLICT (id) DO UPDATE
              SET amount_minor = $3, reason = $4, state = $5, withdrawn = $6, changed_at = $7""",
        dispute.id,
        purchase,
        dispute.amount_minor,
        dispute.reason,
        dispute.state,
        dispute.withdrawn,
        at,
    )


async def warned_of(conn: Connection, warning: str) -> bool:
    """Tell whether a warning was recorded."""
    return await conn.fetchval("SELECT true FROM fraud_warning WHERE id = $1", warning) is True


async def note_warning(
    conn: Connection, warning: str, *, purchase: UUID, fraud_type: str, refund: UUID | None, at: datetime
) -> None:
    """Record an early warning of fraud, and the refund that was begun for it, if one was."""
    await conn.execute(
        "INSERT INTO fraud_warning (id, purchase, fraud_type, refund, recorded_at) VALUES ($1, $2, $3, $4, $5)",
        warning,
        purchase,
        fraud_type,
        refund,
        at,
    )
