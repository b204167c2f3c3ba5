"""Limits: who spends and what he may, and what seldom changes of an account."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection, Record
from services.credits.domain.accounts import Account
from services.credits.domain.tallies import Actor, Tally

_ACTOR = """account_id, name, day_limit, month_limit, stopped, resumes_at, hour, hour_spent, hour_before_spent,
            day_spent, month_spent"""


def _actor(row: Record) -> Actor:
    account, name, day_limit, month_limit, stopped, resumes_at, hour, spent, before, day, month = row
    tally = Tally(hour, spent, before, spent_today=day, spent_this_month=month)
    return Actor(account, name, day_limit, month_limit, stopped, resumes_at, tally)


async def actors(conn: Connection, asked: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Actor]:
    """Read those who spend of accounts, as far as they are known."""
    rows = await conn.fetch(
        f"""SELECT {_ACTOR} FROM actor
            INNER JOIN unnest($1::uuid[], $2::text[]) AS asked (account_id, name) USING (account_id, name)""",  # noqa: S608 - a constant
        *zip(*asked, strict=True),
    )
    return {(row[0], row[1]): _actor(row) for row in rows}


async def actors_of(conn: Connection, account: UUID) -> list[Actor]:
    """Read all who are known to spend of an account, by name."""
    rows = await conn.fetch(
        f"SELECT {_ACTOR} FROM actor WHERE account_id = $1 ORDER BY name",  # noqa: S608 - a constant
        account,
    )
    return [_actor(row) for row in rows]


async def write_actors(conn: Connection, changed: Sequence[Actor]) -> None:
    """Write what became of those who spent; their limits are another's to change, and stay."""
    if not changed:
        return
    await conn.execute(
        """INSERT INTO actor (account_id, name, stopped, resumes_at, hour, hour_spent, hour_before_spent, day_spent,
                              month_spent)
           SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[], $5::timestamptz[],
                                $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
           ON CONFLICT (account_id, name) DO UPDATE
              SET stopped = excluded.stopped, resumes_at = excluded.resumes_at, hour = excluded.hour,
                  hour_spent = excluded.hour_spent, hour_before_spent = excluded.hour_before_spent,
                  day_spent = excluded.day_spent, month_spent = excluded.month_spent""",
        *zip(*(_row(actor) for actor in changed), strict=True),
    )


def _row(actor: Actor) -> tuple[Any, ...]:
    tally = actor.tally
    return (
        actor.account,
        actor.name,
        actor.stopped,
        actor.resumes_at,
        tally.hour,
        tally.spent,
        tally.spent_before,
        tally.spent_today,
        tally.spent_this_month,
    )


async def set_actor_limits(
    conn: Connection, account: UUID, name: str, *, day_limit: int | None, month_limit: int | None
) -> None:
    """Say what one may spend of an account in a day and in a month; the account's row must be locked."""
    await conn.execute("UPDATE account SET limits_actors = true WHERE id = $1", account)
    await conn.execute(
        """INSERT INTO actor (account_id, name, day_limit, month_limit) VALUES ($1, $2, $3, $4)
           ON CONFLICT (account_id, name) DO UPDATE SET day_limit = $3, month_limit = $4""",
        account,
        name,
        day_limit,
        month_limit,
    )


async def resume_actor(conn: Connection, account: UUID, name: str) -> bool:
    """Let an actor go on, his hour begun anew; False if he is not stopped. The account's row must be locked."""
    return (
        await conn.fetchval(
            """UPDATE actor SET stopped = false, resumes_at = NULL, hour_spent = 0, hour_before_spent = 0
                WHERE account_id = $1 AND name = $2 AND stopped RETURNING true""",
            account,
            name,
        )
        is True
    )


async def lock_account(conn: Connection, account: UUID) -> bool:
    """Lock an account's row, as a batch would; False if there is none."""
    return await conn.fetchval("SELECT true FROM account WHERE id = $1 FOR NO KEY UPDATE", account) is True


async def write_marks(conn: Connection, marked: Sequence[Account]) -> None:
    """Write what seldom changes of accounts."""
    if not marked:
        return
    await conn.execute(
        """UPDATE account SET state = n.state, resumes_at = n.resumes_at, low = n.low,
                              overdraft_ever = n.overdraft_ever, uncovered = n.uncovered, hold_first = n.hold_first
             FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::boolean[], $5::bigint[], $6::bigint[],
                         $7::boolean[])
                  AS n (id, state, resumes_at, low, overdraft_ever, uncovered, hold_first)
            WHERE account.id = n.id""",
        *zip(*(_marks(account) for account in marked), strict=True),
    )


def _marks(a: Account) -> tuple[Any, ...]:
    return a.id, a.state, a.resumes_at, a.low, a.overdraft_ever, a.uncovered, a.hold_first


async def set_overdraft_limit(conn: Connection, account: UUID, limit: int | None) -> bool:
    """Give an account an overdraft limit of its own, or the deployment's again; False if there is no such account."""
    return (
        await conn.fetchval("UPDATE account SET overdraft_limit = $2 WHERE id = $1 RETURNING true", account, limit)
        is True
    )


async def set_low_below(conn: Connection, account: UUID, threshold: int | None) -> bool:
    """Give an account a threshold of its own, or the deployment's again; False if there is no such account."""
    return (
        await conn.fetchval("UPDATE account SET low_below = $2 WHERE id = $1 RETURNING true", account, threshold)
        is True
    )


async def set_uncovered_usage(conn: Connection, account: UUID, policy: str | None) -> bool:
    """Give an account a policy of its own, or the deployment's again, and begin anew; False if there is none such."""
    return (
        await conn.fetchval(
            "UPDATE account SET uncovered_usage = $2, uncovered = NULL WHERE id = $1 RETURNING true",
            account,
            policy,
        )
        is True
    )


async def limits_of(conn: Connection, account: UUID) -> Record | None:
    """Read an account's state, its own limits, and its sequence."""
    return await conn.fetchrow(
        """SELECT state, overdraft_limit, low_below, uncovered_usage, uncovered, resumes_at, sequence
             FROM account WHERE id = $1""",
        account,
    )


async def possible_overdrafts(conn: Connection, *, limit: int) -> tuple[int, int, int]:
    """Tell the largest overdraft that any account may come to, their sum, and how many accounts are to hold first."""
    rows = await conn.fetch(
        """SELECT coalesce(max(possible), 0), coalesce(sum(possible), 0)::bigint, count(*) FILTER (WHERE hold_first)
             FROM (SELECT hold_first,
                          greatest(-available, 0,
                                   CASE WHEN state NOT IN ('frozen', 'closed')
                                        THEN coalesce(overdraft_limit, $1) END) AS possible
                     FROM account) AS account""",
        limit,
    )
    largest, total, near = rows[0]
    return largest, total, near


async def change_state(
    conn: Connection, account: UUID, *, from_states: Sequence[str], to: str, only_empty: bool = False
) -> tuple[int, int] | None:
    """Change an account's state if it is one of these; answers its sequence and what is available, None if it is not.

    With `only_empty` also if the account has, holds or owes something.
    """
    row = await conn.fetchrow(
        """UPDATE account SET state = $3, resumes_at = NULL
            WHERE id = $1 AND state = ANY($2)
              AND (NOT $4 OR (available = 0 AND held = 0 AND debt = 0)) RETURNING sequence, available""",
        account,
        from_states,
        to,
        only_empty,
    )
    return None if row is None else (row[0], row[1])


async def note_state_change(conn: Connection, account: UUID, *, state: str, by: str, reason: str, at: datetime) -> None:
    """Keep who changed an account's state, and why."""
    await conn.execute(
        "INSERT INTO state_change (account_id, state, changed_by, reason, at) VALUES ($1, $2, $3, $4, $5)",
        account,
        state,
        by,
        reason,
        at,
    )


async def state_changes(conn: Connection, account: UUID, *, limit: int) -> list[Record]:
    """Read the last changes of an account's state, the last first: state, by, reason, at."""
    return await conn.fetch(
        """SELECT state, changed_by AS by, reason, at FROM state_change
            WHERE account_id = $1 ORDER BY id DESC LIMIT $2""",
        account,
        limit,
    )


async def forget_spending(conn: Connection, account: UUID) -> None:
    """Begin an account's hour anew."""
    await conn.execute("UPDATE account SET hour_spent = 0, hour_before_spent = 0 WHERE id = $1", account)


async def warn_of_expiry(conn: Connection, *, before: datetime, at: datetime, limit: int) -> list[Record]:
    """Mark the lots that expire before an instant and of which nobody was told, the soonest first, as told.

    Answers them as they are: account_id, sequence, id, kind, remaining, expires_at. Those locked just now wait.
    """
    return await conn.fetch(
        """WITH soon AS (
               SELECT id FROM lot
                WHERE open AND expires_at IS NOT NULL AND warned_at IS NULL AND expires_at > $2 AND expires_at <= $1
                ORDER BY expires_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
           )
           UPDATE lot AS l SET warned_at = $2
             FROM soon, account AS a
            WHERE l.id = soon.id AND a.id = l.account_id
           RETURNING l.account_id, a.sequence, l.id, l.kind, l.expires_at,
                     CASE WHEN l.id = a.head_lot THEN a.head_remaining ELSE l.remaining END AS remaining""",
        before,
        at,
        limit,
    )
