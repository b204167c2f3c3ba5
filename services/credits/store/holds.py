"""Holds, as they are shown."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.accounts import HeldCredits
from services.credits.store.books import HOLD, held_credits


class Wanted(NamedTuple):
    """Which holds; what is None does not matter."""

    state: str | None = None
    reference_type: str | None = None
    reference_id: str | None = None


async def find(conn: Connection, account: UUID, hold: UUID) -> HeldCredits | None:
    """Find a hold of an account."""
    row = await conn.fetchrow(
        f"SELECT {HOLD} FROM hold WHERE id = $1 AND account_id = $2 AND NOT set_aside",  # noqa: S608 - a constant
        hold,
        account,
    )
    return None if row is None else held_credits(row)


async def page(
    conn: Connection, account: UUID, wanted: Wanted, *, before: UUID | None, limit: int
) -> list[HeldCredits]:
    """Read holds of an account, newest first."""
    rows = await conn.fetch(
        f"""SELECT {HOLD} FROM hold
             WHERE account_id = $1 AND NOT set_aside
                   AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR state = $3)
                   AND ($4::text IS NULL OR reference_type = $4) AND ($5::text IS NULL OR reference_id = $5)
             ORDER BY id DESC LIMIT $6""",  # noqa: S608 - a constant
        account,
        before,
        *wanted,
        limit,
    )
    return [held_credits(row) for row in rows]


async def captured_lately(conn: Connection, meter: str, properties: Mapping[str, str], *, limit: int) -> list[int]:
    """Tell what holds of a meter with these properties captured, those of the last ones, the oldest first."""
    rows = await conn.fetch(
        """SELECT captured FROM hold
            WHERE state = 'captured' AND details ->> 'meter' = $1
              AND NOT EXISTS (
                  SELECT FROM unnest($2::text[], $3::text[]) AS asked (name, value)
                   WHERE details -> 'properties' ->> asked.name IS DISTINCT FROM asked.value
              )
            ORDER BY settled_at DESC LIMIT $4""",
        meter,
        list(properties),
        list(properties.values()),
        limit,
    )
    return [row["captured"] for row in reversed(rows)]
