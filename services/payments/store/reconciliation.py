"""How far the books are compared."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts import ids
from libs.contracts.http.reconciliation_v1 import Scope, What
from services.payments.domain.reconciliation import Page, Walk

LOCK = 0x5C21B020
"""Held by the one process that compares."""


async def find(conn: Connection, what: What, scope: Scope) -> Walk | None:
    """Tell how far something is gone through; None if that was never begun."""
    row = await conn.fetchrow(
        """SELECT what, scope, since, until, cursor, reached, compared, steps, ended_at
             FROM reconciliation WHERE what = $1 AND scope = $2""",
        what,
        scope,
    )
    return Walk(**row) if row is not None else None


async def all_walks(conn: Connection) -> list[Walk]:
    """Tell how far everything is gone through."""
    rows = await conn.fetch(
        """SELECT what, scope, since, until, cursor, reached, compared, steps, ended_at
             FROM reconciliation ORDER BY scope, what"""
    )
    return [Walk(**row) for row in rows]


async def begin(
    conn: Connection, what: What, scope: Scope, *, since: datetime, until: datetime, reached: datetime
) -> None:
    """Begin to go through some time."""
    await conn.execute(
        """INSERT INTO reconciliation (what, scope, since, until, reached) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (what, scope) DO UPDATE
              SET since = $3, until = $4, reached = $5, cursor = NULL, compared = 0, ended_at = NULL,
                  steps = reconciliation.steps + 1""",
        what,
        scope,
        since,
        until,
        reached,
    )


async def advance(conn: Connection, walk: Walk, page: Page, *, at: datetime) -> None:
    """Note that a page was compared; not if somebody else has gone on from there meanwhile."""
    await conn.execute(
        """UPDATE reconciliation
              SET cursor = $4, reached = $5, compared = compared + $6, steps = steps + 1,
                  ended_at = CASE WHEN $4::text IS NULL THEN $7::timestamptz END
            WHERE what = $1 AND scope = $2 AND steps = $3""",
        walk.what,
        walk.scope,
        walk.steps,
        page.cursor,
        page.reached,
        page.compared,
        at,
    )


async def untold(conn: Connection, *, until: datetime) -> bool:
    """Tell whether something of before then waits in the outbox: then the ledger cannot have heard of all of it."""
    return (
        await conn.fetchval("SELECT true FROM outbox WHERE published_at IS NULL AND recorded_at <= $1 LIMIT 1", until)
        is True
    )


async def untold_of(conn: Connection, account: UUID) -> bool:
    """Tell the same of what is about one account."""
    return (
        await conn.fetchval(
            "SELECT true FROM outbox WHERE published_at IS NULL AND $1 = ANY(keys) LIMIT 1",
            ids.show("account", account),
        )
        is True
    )
