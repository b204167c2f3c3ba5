"""What did not agree: each once, open until it is mended or explained."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.http.reconciliation_v1 import Finding, FindingKind
from libs.contracts.ids import new_id
from services.payments.domain.reconciliation import Disagreement


async def put(
    conn: Connection, found: Disagreement, *, at: datetime, repaired: bool = False, told_again: bool = False
) -> bool:
    """Record what was found; False if it is known and open, or explained just as it is.

    What agreed meanwhile is open again, and so is what was explained and is another difference now.
    """
    new = (
        await conn.fetchval(
            """INSERT INTO finding (id, kind, object, purchase, detail, found_at, repaired_at, told_again_at)
               VALUES ($1, $2, $3, $4, $5, $6::timestamptz, CASE WHEN $7 THEN $6::timestamptz END,
                       CASE WHEN $8 THEN $6::timestamptz END)
               ON CONFLICT (kind, object) DO UPDATE
                  SET found_at = excluded.found_at, repaired_at = excluded.repaired_at, detail = excluded.detail,
                      told_again_at = excluded.told_again_at, resolved_at = NULL, resolved_by = NULL, reason = NULL
                WHERE finding.repaired_at IS NOT NULL
                   OR finding.resolved_at IS NOT NULL AND finding.detail <> excluded.detail
            RETURNING true""",
            new_id(),
            found.kind,
            found.object,
            found.purchase,
            found.detail,
            at,
            repaired,
            told_again,
        )
        is True
    )
    if not new:
        await _say_anew(conn, found)
    return new


async def _say_anew(conn: Connection, found: Disagreement) -> None:
    """Have what is open say how it is now, so that whoever explains it explains that."""
    await conn.execute(
        """UPDATE finding SET detail = $3
            WHERE kind = $1 AND object = $2 AND repaired_at IS NULL AND resolved_at IS NULL AND detail <> $3""",
        found.kind,
        found.object,
        found.detail,
    )


async def tell_again(conn: Connection, kind: FindingKind, about: str, *, at: datetime) -> None:
    """Note that the ledger is told again."""
    await conn.execute("UPDATE finding SET told_again_at = $3 WHERE kind = $1 AND object = $2", kind, about, at)


async def close(
    conn: Connection, kinds: Sequence[FindingKind], objects: Sequence[str], *, at: datetime
) -> list[FindingKind]:
    """Note that these agree: what was open of them is mended. Returns of which kinds that was.

    What was explained agrees, too, so that the explanation is of no later difference.
    """
    rows = await conn.fetch(
        """UPDATE finding SET repaired_at = $3
            WHERE kind = ANY($1) AND object = ANY($2) AND repaired_at IS NULL
        RETURNING kind, resolved_at""",
        kinds,
        objects,
        at,
    )
    return [row["kind"] for row in rows if row["resolved_at"] is None]


async def resolve(conn: Connection, finding: UUID, *, by: str, reason: str, at: datetime) -> None:
    """Note why it may stay, once; not if it is mended."""
    await conn.execute(
        """UPDATE finding SET resolved_at = $2, resolved_by = $3, reason = $4
            WHERE id = $1 AND resolved_at IS NULL AND repaired_at IS NULL""",
        finding,
        at,
        by,
        reason,
    )


async def get(conn: Connection, finding: UUID) -> Finding | None:
    """Read one."""
    row = await conn.fetchrow(
        """SELECT id, kind, object, purchase, detail, found_at, told_again_at, repaired_at, resolved_at, resolved_by,
                  reason
             FROM finding WHERE id = $1""",
        finding,
    )
    return Finding(**row) if row is not None else None


async def open_ones(conn: Connection, *, limit: int) -> list[Finding]:
    """Read what is open, newest first."""
    rows = await conn.fetch(
        """SELECT id, kind, object, purchase, detail, found_at, told_again_at, repaired_at, resolved_at, resolved_by,
                  reason
             FROM finding WHERE repaired_at IS NULL AND resolved_at IS NULL ORDER BY id DESC LIMIT $1""",
        limit,
    )
    return [Finding(**row) for row in rows]


async def repaired_since(conn: Connection, since: datetime, *, limit: int) -> list[Finding]:
    """Read what was mended since then, newest first."""
    rows = await conn.fetch(
        """SELECT id, kind, object, purchase, detail, found_at, told_again_at, repaired_at, resolved_at, resolved_by,
                  reason
             FROM finding WHERE repaired_at >= $1 AND resolved_at IS NULL
            ORDER BY repaired_at DESC, id DESC LIMIT $2""",
        since,
        limit,
    )
    return [Finding(**row) for row in rows]


async def purchases_open(conn: Connection, kinds: Sequence[FindingKind], *, limit: int) -> list[UUID]:
    """Tell of which purchases something of these kinds is open, the oldest first."""
    rows = await conn.fetch(
        """SELECT purchase FROM finding
            WHERE kind = ANY($1) AND repaired_at IS NULL AND resolved_at IS NULL AND purchase IS NOT NULL
            ORDER BY id LIMIT $2""",
        kinds,
        limit,
    )
    return [row["purchase"] for row in rows]


async def drift(conn: Connection, *, arrived_before: datetime) -> dict[FindingKind, int]:
    """Count what is open, by kind; what the ledger was told again has until then to arrive."""
    rows = await conn.fetch(
        """SELECT kind, count(*)::int AS count FROM finding
            WHERE repaired_at IS NULL AND resolved_at IS NULL AND (told_again_at IS NULL OR told_again_at <= $1)
            GROUP BY kind""",
        arrived_before,
    )
    return {row["kind"]: row["count"] for row in rows}


async def arriving(conn: Connection, *, told_since: datetime) -> bool:
    """Tell whether something is open that the ledger was told again since then."""
    return (
        await conn.fetchval(
            """SELECT true FROM finding
                WHERE repaired_at IS NULL AND resolved_at IS NULL AND told_again_at > $1 LIMIT 1""",
            told_since,
        )
        is True
    )


async def unmended(conn: Connection, kind: FindingKind) -> list[str]:
    """Tell about what something of a kind is open or explained, and has not agreed since."""
    rows = await conn.fetch("SELECT object FROM finding WHERE kind = $1 AND repaired_at IS NULL", kind)
    return [row["object"] for row in rows]


async def open_objects(conn: Connection, kinds: Sequence[FindingKind], *, limit: int) -> list[str]:
    """Tell about what something of these kinds is open, the oldest first."""
    rows = await conn.fetch(
        """SELECT object FROM finding WHERE kind = ANY($1) AND repaired_at IS NULL AND resolved_at IS NULL
            ORDER BY id LIMIT $2""",
        kinds,
        limit,
    )
    return [row["object"] for row in rows]
