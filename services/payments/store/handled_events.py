"""Stripe's events that were handled, and what is seen of them in our record."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.chassis.pool import Connection


class Mark(NamedTuple):
    """What changes of a purchase whenever something new is learnt of its payment."""

    purchase: UUID
    revision: int
    state: str
    refunds: list[str]


async def put(conn: Connection, event: str, *, at: datetime) -> None:
    """Note that an event was handled."""
    await conn.execute("INSERT INTO handled_event (id, handled_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", event, at)


async def among(conn: Connection, events: Sequence[str]) -> set[str]:
    """Tell which of these were handled."""
    rows = await conn.fetch("SELECT id FROM handled_event WHERE id = ANY($1)", events)
    return {row["id"] for row in rows}


async def forget(conn: Connection, *, before: datetime) -> None:
    """Forget what was handled before then."""
    await conn.execute("DELETE FROM handled_event WHERE handled_at < $1", before)


async def mark_of(conn: Connection, payment: str) -> Mark | None:
    """Read what our record shows of a payment; None if it is not of ours."""
    row = await conn.fetchrow(
        """SELECT id AS purchase, revision, state,
                  ARRAY(SELECT state FROM refund WHERE purchase = p.id ORDER BY id) AS refunds
             FROM purchase AS p WHERE payment_intent = $1""",
        payment,
    )
    return Mark(*row) if row is not None else None
