"""Usage that was rejected, and what of it was burnt after all."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.rejections_v1 import Rejection, RejectionQuery, Replay

Name = tuple[UUID, UUID]
"""The event's key, and the fingerprint of what it says."""
_REJECTION = """r.key, r.fingerprint, r.account_id, r.source, r.event_id, r.meter, r.code, r.detail, r.required,
                r.available, r.at, r.event, p.posting_key, p.credits, p.event AS replayed, p.replayed_by, p.replayed_at
           FROM rejected_usage AS r
           LEFT JOIN usage_replay AS p ON p.key = r.key AND p.fingerprint = r.fingerprint"""


async def page(
    conn: Connection, query: RejectionQuery, *, before: tuple[datetime, Name] | None, limit: int
) -> list[Rejection]:
    """Read rejected usage, newest first."""
    at, name = before or (None, (None, None))
    rows = await conn.fetch(
        f"""SELECT {_REJECTION}
             WHERE ($1::uuid IS NULL OR r.account_id = $1) AND ($2::text IS NULL OR r.code = $2)
               AND ($3::text IS NULL OR (p.key IS NULL) = ($3 = 'open'))
               AND ($4::timestamptz IS NULL OR (r.at, r.key, r.fingerprint) < ($4, $5::uuid, $6::uuid))
             ORDER BY r.at DESC, r.key DESC, r.fingerprint DESC LIMIT $7""",
        query.account,
        query.code,
        query.state,
        at,
        *name,
        limit,
    )
    return [_rejection(row) for row in rows]


async def find(conn: Connection, name: Name) -> Rejection | None:
    """Read one."""
    row = await conn.fetchrow(f"SELECT {_REJECTION} WHERE r.key = $1 AND r.fingerprint = $2", *name)
    return _rejection(row) if row is not None else None


async def note_replay(conn: Connection, name: Name, replay: Replay) -> None:
    """Note that one was burnt after all."""
    await conn.execute(
        """INSERT INTO usage_replay (key, fingerprint, event, posting_key, credits, replayed_by, replayed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        *name,
        replay.event,
        replay.transaction,
        replay.credits,
        replay.by,
        replay.at,
    )


def _rejection(row: Record) -> Rejection:
    replay = None
    if row["posting_key"] is not None:
        replay = Replay(
            transaction=row["posting_key"],
            credits=row["credits"],
            event=row["replayed"],
            by=row["replayed_by"],
            at=row["replayed_at"],
        )
    return Rejection(
        id=row["key"].hex + row["fingerprint"].hex,
        account=row["account_id"],
        source=row["source"],
        event_id=row["event_id"],
        meter=row["meter"],
        code=row["code"],
        detail=row["detail"],
        required=row["required"],
        available=row["available"],
        at=row["at"],
        event=row["event"],
        replay=replay,
    )
