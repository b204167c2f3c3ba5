"""Unusual days, and what they are found by: what accounts burnt, day by day."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from libs.chassis.pool import Connection, Record

LOCK = 0x5C21B007
"""Whoever looks for them has it."""


class Burnt(NamedTuple):
    """What an account burnt on a day, and whether that is known to be unusual."""

    account: UUID
    credits: int
    is_noted: bool


async def burnt_on(conn: Connection, day: date, *, after: UUID, limit: int) -> list[Burnt]:
    """Read what accounts burnt on a day, those whose ids follow one, in their order."""
    rows = await conn.fetch(
        """SELECT d.account_id, d.credits,
                  EXISTS (SELECT FROM unusual_day AS u WHERE u.account_id = d.account_id AND u.day = $1)
             FROM (SELECT account_id, sum(credits)::bigint AS credits FROM usage_day
                    WHERE day = $1 AND dimension = '' AND account_id > $2
                    GROUP BY account_id ORDER BY account_id LIMIT $3) AS d
            ORDER BY d.account_id""",
        day,
        after,
        limit,
    )
    return [Burnt(*row) for row in rows]


async def take_late(conn: Connection, *, limit: int) -> Mapping[date, list[Burnt]]:
    """Take days that were over when sums of them changed, each once; gives by day what accounts burnt on them.

    Needs a transaction. One that is being noted is left for later, so that what is read is what it was noted for; so
    are all while sums begin anew.
    """
    taken = await conn.fetch(
        """DELETE FROM late_day AS d USING (
               SELECT account_id, day FROM late_day
                WHERE (SELECT last_batch >= before_anew FROM usage_summed)
                ORDER BY day, account_id LIMIT $1 FOR UPDATE SKIP LOCKED
           ) AS taken
            WHERE d.account_id = taken.account_id AND d.day = taken.day
           RETURNING d.account_id, d.day""",
        limit,
    )
    if not taken:
        return {}
    rows = await conn.fetch(
        """SELECT account_id, day, sum(credits)::bigint, EXISTS (
                      SELECT FROM unusual_day AS u WHERE u.account_id = t.account_id AND u.day = t.day)
             FROM unnest($1::uuid[], $2::date[]) AS t (account_id, day)
            INNER JOIN usage_day AS d USING (account_id, day)
            WHERE d.dimension = ''
            GROUP BY account_id, day ORDER BY day, account_id""",
        [row["account_id"] for row in taken],
        [row["day"] for row in taken],
    )
    found: dict[date, list[Burnt]] = {}
    for account, day, credits, is_noted in rows:
        found.setdefault(day, []).append(Burnt(account, credits, is_noted))
    return found


async def burnt_before(
    conn: Connection, accounts: Sequence[UUID], first: date, until: date
) -> Mapping[tuple[UUID, date], int]:
    """Read what accounts burnt day by day, from one day until before another."""
    rows = await conn.fetch(
        """SELECT account_id, day, sum(credits)::bigint FROM usage_day
            WHERE account_id = ANY($1) AND day >= $2 AND day < $3 AND dimension = ''
            GROUP BY account_id, day""",
        accounts,
        first,
        until,
    )
    return {(row[0], row[1]): row[2] for row in rows}


class Found(NamedTuple):
    """An account's unusual day: what it burnt so far, and what is usual."""

    account: UUID
    burnt: int
    usual: int


async def note(conn: Connection, day: date, found: Sequence[Found], *, at: datetime) -> list[UUID]:
    """Keep unusual days, each once; names the accounts of which it was not known."""
    rows = await conn.fetch(
        """INSERT INTO unusual_day (account_id, day, burnt, usual, noticed_at)
           SELECT f.account_id, $1, f.burnt, f.usual, $5
             FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS f (account_id, burnt, usual)
               ON CONFLICT (account_id, day) DO NOTHING RETURNING account_id""",
        day,
        *zip(*found, strict=True),
        at,
    )
    return [row[0] for row in rows]


async def unusual_days(conn: Connection, account: UUID, *, limit: int) -> list[Record]:
    """Read an account's unusual days, newest first: day, burnt, usual, noticed_at."""
    return await conn.fetch(
        """SELECT day, burnt, usual, noticed_at FROM unusual_day
            WHERE account_id = $1 ORDER BY day DESC LIMIT $2""",
        account,
        limit,
    )
