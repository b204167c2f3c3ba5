"""What staff give, and what activities earned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts import errors as codes
from libs.contracts.errors import PROBLEM_TYPE, Problem
from libs.contracts.http.grants_v1 import ActivityAward, Grant, GrantRow, GrantRowResult, GrantTerms


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a row: a lot, or why there is none."""

    number: int
    lot: UUID | None
    code: str | None = None
    detail: str | None = None


_GRANT = """id, state, kind, note, expires_at, rows, credits, granted, failed, requested_by, requested_at, decided_by,
            decided_at, completed_at"""


def _grant(row: Record) -> Grant:
    return Grant.model_validate(dict(row))


async def record(
    conn: Connection, id: UUID, terms: GrantTerms, rows: Sequence[GrantRow], *, state: str, by: str, at: datetime
) -> Grant:
    """Record a grant and its rows."""
    granted = await conn.fetchrow(
        f"""INSERT INTO staff_grant (id, state, kind, note, expires_at, rows, credits, requested_by, requested_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_GRANT}""",  # noqa: S608 - a constant
        id,
        state,
        terms.kind,
        terms.note,
        terms.expires_at,
        len(rows),
        sum(row.credits for row in rows),
        by,
        at,
    )
    await conn.execute(
        """INSERT INTO staff_grant_row (grant_id, number, account_id, email, credits, note)
           SELECT $1, r.number, r.account_id, r.email, r.credits, r.note
             FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[])
                  WITH ORDINALITY AS r (account_id, email, credits, note, number)""",
        id,
        [row.account for row in rows],
        [row.email for row in rows],
        [row.credits for row in rows],
        [row.note for row in rows],
    )
    assert granted is not None  # noqa: S101 - an INSERT without ON CONFLICT returns its row
    return _grant(granted)


async def find(conn: Connection, id: UUID) -> Grant | None:
    """Read a grant."""
    row = await conn.fetchrow(f"SELECT {_GRANT} FROM staff_grant WHERE id = $1", id)  # noqa: S608 - a constant
    return None if row is None else _grant(row)


async def grants(conn: Connection, *, before: UUID | None, limit: int) -> list[Grant]:
    """Read grants, newest first."""
    rows = await conn.fetch(
        f"""SELECT {_GRANT} FROM staff_grant WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2""",  # noqa: S608 - a constant
        before,
        limit,
    )
    return [_grant(row) for row in rows]


async def rows_of(conn: Connection, id: UUID, *, after: int, limit: int) -> list[GrantRowResult]:
    """Read a grant's rows in their order, from behind one on."""
    rows = await conn.fetch(
        """SELECT number, account_id, email, credits, note, state, lot_id, code, detail FROM staff_grant_row
            WHERE grant_id = $1 AND number > $2 ORDER BY number LIMIT $3""",
        id,
        after,
        limit,
    )
    return [_row(row) for row in rows]


def _row(row: Record) -> GrantRowResult:
    return GrantRowResult(
        number=row["number"],
        account=row["account_id"],
        email=row["email"],
        credits=row["credits"],
        note=row["note"],
        state=row["state"],
        lot=row["lot_id"],
        problem=_problem(row["code"], row["detail"]) if row["code"] else None,
    )


def _problem(code: str, detail: str) -> Problem:
    known = codes.CODES[code]
    return Problem(type=PROBLEM_TYPE + code, title=known.title, status=known.status, detail=detail, code=code)


async def decide(conn: Connection, id: UUID, *, to: str, by: str, at: datetime) -> bool:
    """Let a waiting grant run, or reject it; False if it does not wait, or it is the same person who asked for it."""
    return (
        await conn.fetchval(
            """UPDATE staff_grant SET state = $2, decided_by = $3, decided_at = $4
                WHERE id = $1 AND state = 'waiting_for_approval' AND requested_by <> $3 RETURNING true""",
            id,
            to,
            by,
            at,
        )
        is True
    )


async def next_running(conn: Connection) -> Grant | None:
    """Lock the oldest grant that has rows to work off, unless another is at it."""
    row = await conn.fetchrow(
        f"""SELECT {_GRANT} FROM staff_grant WHERE state = 'running'
            ORDER BY requested_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"""  # noqa: S608 - a constant
    )
    return None if row is None else _grant(row)


async def waiting_rows(conn: Connection, id: UUID, limit: int) -> list[GrantRowResult]:
    """Read the first rows of a locked grant that are not worked off."""
    rows = await conn.fetch(
        """SELECT number, account_id, email, credits, note, state, lot_id, code, detail FROM staff_grant_row
            WHERE grant_id = $1 AND state = 'waiting' ORDER BY number LIMIT $2""",
        id,
        limit,
    )
    return [_row(row) for row in rows]


async def settle_rows(conn: Connection, id: UUID, decided: Sequence[Decided]) -> None:
    """Note what became of rows."""
    await conn.execute(
        """UPDATE staff_grant_row AS r
              SET state = CASE WHEN d.lot IS NULL THEN 'failed' ELSE 'granted' END, lot_id = d.lot, code = d.code,
                  detail = d.detail
             FROM unnest($2::int[], $3::uuid[], $4::text[], $5::text[]) AS d (number, lot, code, detail)
            WHERE r.grant_id = $1 AND r.number = d.number""",
        id,
        *zip(*((row.number, row.lot, row.code, row.detail) for row in decided), strict=True),
    )


async def note_progress(conn: Connection, id: UUID, *, granted: int, failed: int, at: datetime) -> Grant:
    """Count rows that are done; the last one completes the grant."""
    row = await conn.fetchrow(
        f"""UPDATE staff_grant
              SET granted = granted + $2, failed = failed + $3,
                  state = CASE WHEN granted + failed + $2 + $3 = rows THEN 'completed' ELSE state END,
                  completed_at = CASE WHEN granted + failed + $2 + $3 = rows THEN $4::timestamptz END
            WHERE id = $1 RETURNING {_GRANT}""",  # noqa: S608 - a constant
        id,
        granted,
        failed,
        at,
    )
    assert row is not None  # noqa: S101 - it is locked
    return _grant(row)


async def award(conn: Connection, account: UUID, activity: str, reference: str) -> ActivityAward | None:
    """Find what an account earned by an activity for a reference."""
    row = await conn.fetchrow(
        """SELECT credits, lot_id, earned_at FROM activity_award
            WHERE account_id = $1 AND activity = $2 AND reference = $3""",
        account,
        activity,
        reference,
    )
    if row is None:
        return None
    return ActivityAward(
        account=account,
        activity=activity,
        reference=reference,
        credits=row["credits"],
        lot=row["lot_id"],
        earned_at=row["earned_at"],
    )


async def count_awards(conn: Connection, account: UUID, activity: str, *, since: datetime) -> tuple[int, int]:
    """Tell how often an account earned by an activity: ever, and since an instant. The account must be locked."""
    row = await conn.fetchrow(
        """SELECT count(*) AS ever, count(*) FILTER (WHERE earned_at >= $3) AS since
             FROM activity_award WHERE account_id = $1 AND activity = $2""",
        account,
        activity,
        since,
    )
    return (0, 0) if row is None else (row["ever"], row["since"])


async def record_award(conn: Connection, award: ActivityAward) -> None:
    """Record what an account earned."""
    await conn.execute(
        """INSERT INTO activity_award (account_id, activity, reference, credits, lot_id, earned_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        award.account,
        award.activity,
        award.reference,
        award.credits,
        award.lot,
        award.earned_at,
    )
