"""Refunds: those asked for here, and those that began at Stripe's dashboard."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from services.payments.domain.refunds import COUNTED, Refund, RefundState, earlier

_SELECT = (
    "SELECT id, purchase, amount_minor, reason, state, stripe_refund, failure, created_at, before_minor, requested_by"
    "  FROM refund"
)


async def insert(
    conn: Connection,
    refund: UUID,
    *,
    purchase: UUID,
    amount_minor: int,
    before_minor: int,
    reason: str | None,
    requested_by: str,
    at: datetime,
) -> None:
    """Record the intent to give money back, after so much was given or promised."""
    await conn.execute(
        """INSERT INTO refund (id, purchase, amount_minor, before_minor, reason, requested_by, state, created_at,
                               resolved_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'created', $7, $7)""",
        refund,
        purchase,
        amount_minor,
        before_minor,
        reason,
        requested_by,
        at,
    )


async def get(conn: Connection, refund: UUID) -> Refund:
    """Read a refund that is there."""
    row = await conn.fetchrow(f"{_SELECT} WHERE id = $1", refund)
    if row is None:
        raise LookupError(f"there is no refund {refund}")
    return _read(row)


async def promised_minor(conn: Connection, purchase: UUID) -> int:
    """Sum up what was refunded or is going to be: all refunds but those that failed."""
    total: int = await conn.fetchval(
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM refund WHERE purchase = $1 AND state <> 'failed'", purchase
    )
    return total


async def decided(conn: Connection, purchase: UUID) -> list[Refund]:
    """Read the refunds of a purchase of which Stripe took the money, or never will, the oldest first."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE purchase = $1 AND state = ANY($2) ORDER BY id", purchase, [*COUNTED, "failed"]
    )
    return [_read(row) for row in rows]


async def take_unresolved(conn: Connection, *, idle_since: datetime, at: datetime, limit: int) -> list[UUID]:
    """Take up refunds of which Stripe has told us nothing, and that nobody has taken up since then."""
    rows = await conn.fetch(
        """UPDATE refund SET resolved_at = $2
            WHERE id IN (SELECT id FROM refund WHERE state IN ('created', 'unknown') AND resolved_at <= $1
                          ORDER BY resolved_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id""",
        idle_since,
        at,
        limit,
    )
    return [row["id"] for row in rows]


async def move(conn: Connection, refund: UUID, state: RefundState, *, failure: str | None = None) -> bool:
    """Move a refund of which Stripe has told us nothing; False if it has by now, or is further already."""
    return (
        await conn.fetchval(
            """UPDATE refund SET state = $2, failure = coalesce($4, failure)
                WHERE id = $1 AND state = ANY($3) AND stripe_refund IS NULL RETURNING true""",
            refund,
            state,
            earlier(state),
            failure,
        )
        is True
    )


async def learn(
    conn: Connection,
    purchase: UUID,
    refund: UUID | None,
    *,
    stripe_refund: str,
    state: RefundState,
    failure: str | None,
) -> bool:
    """Record what Stripe says of a refund we know, by Stripe's id or else by ours; False if we know of none.

    What Stripe says first overrules what we thought; afterwards only a later state overrules an earlier one.
    """
    return (
        await conn.fetchval(
            """UPDATE refund
                  SET stripe_refund = $3, failure = coalesce($6, failure),
                      state = CASE WHEN stripe_refund IS NULL OR state = ANY($5) THEN $4 ELSE state END
                WHERE purchase = $1 AND (stripe_refund = $3 OR (stripe_refund IS NULL AND id = $2)) RETURNING true""",
            purchase,
            refund,
            stripe_refund,
            state,
            earlier(state),
            failure,
        )
        is True
    )


async def adopt(
    conn: Connection,
    refund: UUID,
    *,
    purchase: UUID,
    amount_minor: int,
    reason: str | None,
    stripe_refund: str,
    state: RefundState,
    failure: str | None,
    at: datetime,
) -> None:
    """Record a refund that began at Stripe's dashboard."""
    await conn.execute(
        """INSERT INTO refund (id, purchase, amount_minor, reason, requested_by, state, stripe_refund, failure,
                               created_at, resolved_at)
           VALUES ($1, $2, $3, $4, 'stripe', $5, $6, $7, $8, $8)""",
        refund,
        purchase,
        amount_minor,
        reason,
        state,
        stripe_refund,
        failure,
        at,
    )


def _read(row: Record) -> Refund:
    return Refund(**row)
