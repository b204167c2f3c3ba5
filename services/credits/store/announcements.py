"""Balances that changed and have not been announced yet."""

from collections.abc import Sequence
from uuid import UUID

from libs.chassis.pool import Connection

LOCK = 0x5C21B004
"""Whoever announces has it."""


async def unannounced(conn: Connection, *, above: int, limit: int) -> list[tuple[int, list[UUID]]]:
    """Read the oldest changes not announced yet, from one on: their ids, and the accounts they name."""
    rows = await conn.fetch(
        "SELECT id, account_ids FROM balance_change WHERE id > $1 ORDER BY id LIMIT $2", above, limit
    )
    return [(row["id"], row["account_ids"]) for row in rows]


async def forget_changes(conn: Connection, changes: Sequence[int]) -> None:
    """Drop changes that were announced."""
    await conn.execute("DELETE FROM balance_change WHERE id = ANY($1)", changes)
