"""Every SQL statement of the credits service."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.events import BalanceChanged
from libs.contracts.http.credits_v1 import Balance, ExpiringCredits, Lot, Totals, Transaction
from services.credits.domain import PRIORITY, Grant, Posting, Result, TakeBack

_SQL = Path(__file__).parent / "sql"
SPEND = (_SQL / "spend.sql").read_text()
GRANT = (_SQL / "grant.sql").read_text()
TAKE_BACK = (_SQL / "take_back.sql").read_text()
EXPIRE = (_SQL / "expire.sql").read_text()


async def open_accounts(conn: Connection, accounts: Sequence[UUID], at: datetime) -> None:
    """Open the accounts that are not open yet."""
    await conn.execute(
        """INSERT INTO account (id, opened_at, changed_at) SELECT id, $2, $2 FROM unnest($1::uuid[]) AS a (id)
           ON CONFLICT DO NOTHING""",
        accounts,
        at,
    )


async def lock_accounts(conn: Connection, accounts: Sequence[UUID]) -> datetime | None:
    """Lock the accounts in id order; answers the latest instant at which one of them changed.

    A statement of its own: the one that reads balances afterwards must not see them as they were before the lock.
    """
    rows = await conn.fetch("SELECT changed_at FROM account WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", accounts)
    return max((row["changed_at"] for row in rows), default=None)


async def expire(conn: Connection, accounts: Sequence[UUID], at: datetime) -> list[UUID]:
    """Write off what has expired in locked accounts; answers the accounts that this changed."""
    return [row["id"] for row in await conn.fetch(EXPIRE, accounts, at)]


async def accounts_with_expired_lots(conn: Connection, at: datetime, limit: int) -> list[UUID]:
    """Name accounts that hold expired credits which are not written off yet."""
    rows = await conn.fetch(
        """SELECT DISTINCT account_id FROM (
               SELECT account_id FROM lot WHERE open AND expires_at <= $1 ORDER BY expires_at LIMIT $2
           ) AS due""",
        at,
        limit,
    )
    return [row["account_id"] for row in rows]


def _common(postings: Sequence[Posting]) -> list[list[Any]]:
    return [
        [p.account for p in postings],
        [p.key for p in postings],
        [p.fingerprint for p in postings],
        [p.id for p in postings],
        [p.amount for p in postings],
    ]


def _causes(postings: Sequence[Posting]) -> list[list[Any]]:
    return [
        [p.cause.reference_type for p in postings],
        [p.cause.reference_id for p in postings],
        [p.cause.description for p in postings],
    ]


async def spend(conn: Connection, postings: Sequence[Posting], at: datetime, *, fifo: bool) -> list[Result]:
    """Apply spends; see sql/spend.sql."""
    rows = await conn.fetch(
        SPEND,
        *_common(postings),
        [p.cause.type for p in postings],
        *_causes(postings),
        [p.cause.details for p in postings],
        [p.cause.price_version for p in postings],
        at,
        fifo,
    )
    return [
        Result(p, row["outcome"], row["sequence"], _int(row["available"]))
        for p, row in zip(postings, rows, strict=True)
    ]


async def grant(conn: Connection, grants: Sequence[Grant], at: datetime) -> list[Result]:
    """Apply grants, one for each account; see sql/grant.sql."""
    rows = await conn.fetch(
        GRANT,
        *_common(grants),
        [g.cause.type for g in grants],
        *_causes(grants),
        [g.lot for g in grants],
        [g.kind for g in grants],
        [PRIORITY[g.kind] for g in grants],
        [g.expires_at for g in grants],
        [g.cost_minor for g in grants],
        [g.currency for g in grants],
        at,
    )
    return [
        Result(g, row["outcome"], row["sequence"], row["available"], credits=g.amount)
        for g, row in zip(grants, rows, strict=True)
    ]


async def take_back(conn: Connection, postings: Sequence[TakeBack], at: datetime) -> list[Result]:
    """Apply take-backs, one for each account; see sql/take_back.sql."""
    rows = await conn.fetch(
        TAKE_BACK,
        *_common(postings),
        [p.kind for p in postings],
        *_causes(postings),
        [p.revision for p in postings],
        at,
    )
    return [
        Result(p, row["outcome"], row["sequence"], row["available"], row["credits"] or 0, row["debt"] or 0)
        for p, row in zip(postings, rows, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class RefusedUsage:
    """A refused usage event, as it is kept."""

    account: UUID
    key: bytes
    fingerprint: bytes
    source: str
    event_id: str
    meter: str
    event: dict[str, Any]
    code: str
    detail: str
    required: int | None
    available: int | None


async def keep_refusals(conn: Connection, refused: Sequence[RefusedUsage], at: datetime) -> list[bool]:
    """Keep refused usage; tells which of them are new. One that was burnt before is not refused now."""
    rows = await conn.fetch(
        """INSERT INTO rejected_usage (account_id, key, fingerprint, source, event_id, meter, event, code, detail,
                                       required, available, at)
           SELECT r.*, $12
             FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
                         $8::text[], $9::text[], $10::bigint[], $11::bigint[])
                  AS r (account_id, key, fingerprint, source, event_id, meter, event, code, detail, required, available)
            WHERE NOT EXISTS (SELECT FROM posting AS p
                               WHERE p.account_id = r.account_id AND p.key = r.key AND p.fingerprint = r.fingerprint)
           ON CONFLICT DO NOTHING RETURNING account_id, key, fingerprint""",
        *(list(column) for column in zip(*(astuple(usage) for usage in refused), strict=True)),
        at,
    )
    fresh = {tuple(row) for row in rows}
    told: list[bool] = []
    for usage in refused:
        name = (usage.account, usage.key, usage.fingerprint)
        told.append(name in fresh)
        fresh.discard(name)  # the same event twice in a batch is told once
    return told


async def sequences(conn: Connection, accounts: Sequence[UUID]) -> dict[UUID, int]:
    """Read the sequences of those accounts that exist."""
    rows = await conn.fetch("SELECT id, sequence FROM account WHERE id = ANY($1)", accounts)
    return {row["id"]: row["sequence"] for row in rows}


async def note_changes(conn: Connection, accounts: Sequence[UUID]) -> None:
    """Note whose balance a batch changed, to be announced."""
    await conn.execute("INSERT INTO balance_change (account_ids) VALUES ($1)", accounts)


async def unannounced(conn: Connection, limit: int) -> tuple[list[int], list[UUID]]:
    """Read the oldest changes not announced yet: their ids, and the accounts they name, each once."""
    rows = await conn.fetch("SELECT id, account_ids FROM balance_change ORDER BY id LIMIT $1", limit)
    return [row["id"] for row in rows], list({account for row in rows for account in row["account_ids"]})


async def forget_changes(conn: Connection, changes: Sequence[int]) -> None:
    """Drop changes that were announced."""
    await conn.execute("DELETE FROM balance_change WHERE id = ANY($1)", changes)


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What an account has, by the names people see: an overdraft is what is available below zero."""

    account: UUID
    available: int
    held: int
    overdraft: int
    debt: int
    sequence: int

    def event(self, at: datetime) -> BalanceChanged:
        """Say it as an event."""
        return BalanceChanged(
            account=self.account,
            available=self.available,
            held=self.held,
            overdraft=self.overdraft,
            debt=self.debt,
            sequence=self.sequence,
            occurred_at=at,
        )


def _balance(row: Record) -> AccountBalance:
    available = row["available"]
    return AccountBalance(row["id"], max(available, 0), row["held"], max(-available, 0), row["debt"], row["sequence"])


async def balances(conn: Connection, accounts: Sequence[UUID]) -> list[AccountBalance]:
    """Read what those accounts have."""
    rows = await conn.fetch("SELECT id, available, held, debt, sequence FROM account WHERE id = ANY($1)", accounts)
    return [_balance(row) for row in rows]


async def balance(conn: Connection, account: UUID, at: datetime) -> Balance | None:
    """Read an account's whole balance as of now: what has expired is not available, written off or not."""
    row = await conn.fetchrow(
        """SELECT c.*, l.by_kind, l.expired_now, n.expires_at AS next_at, n.remaining AS next_credits
             FROM account AS c
             CROSS JOIN LATERAL (
                 SELECT coalesce(jsonb_object_agg(kind, remaining) FILTER (WHERE remaining > 0), '{}') AS by_kind,
                        coalesce(sum(gone), 0)::bigint AS expired_now
                   FROM (SELECT kind,
                                sum(remaining) FILTER (WHERE expires_at IS NULL OR expires_at > $2) AS remaining,
                                sum(remaining) FILTER (WHERE expires_at <= $2) AS gone
                           FROM lot WHERE account_id = c.id AND open GROUP BY kind) AS kinds
             ) AS l
             LEFT JOIN LATERAL (
                 SELECT expires_at, sum(remaining)::bigint AS remaining FROM lot
                  WHERE account_id = c.id AND open AND expires_at > $2
                  GROUP BY expires_at ORDER BY expires_at LIMIT 1
             ) AS n ON true
            WHERE c.id = $1""",
        account,
        at,
    )
    return None if row is None else _whole_balance(row)


def _whole_balance(row: Record) -> Balance:
    has = _balance(row)
    return Balance(
        account=has.account,
        available=max(has.available - row["expired_now"], 0),
        held=has.held,
        overdraft=has.overdraft,
        debt=has.debt,
        by_kind=row["by_kind"],
        next_expiry=ExpiringCredits(credits=row["next_credits"], at=row["next_at"]) if row["next_at"] else None,
        totals=Totals(
            earned=row["earned"],
            purchased=row["purchased"],
            spent=row["spent"],
            expired=row["expired"] + row["expired_now"],
            refunded=row["refunded"],
        ),
        sequence=has.sequence,
    )


async def lots(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[Lot]:
    """Read lots, newest first."""
    rows = await conn.fetch(
        """SELECT * FROM lot WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3""",
        account,
        before,
        limit,
    )
    return [
        Lot(
            id=row["id"],
            account=row["account_id"],
            kind=row["kind"],
            priority=row["priority"],
            granted=row["granted"],
            remaining=row["remaining"],
            reason=row["reference_type"],
            reference=row["reference_id"],
            granted_at=row["granted_at"],
            expires_at=row["expires_at"],
        )
        for row in rows
    ]


async def transactions(conn: Connection, account: UUID, *, before: int | None, limit: int) -> list[Transaction]:
    """Read what moved the balance, newest first."""
    rows = await conn.fetch(
        """SELECT * FROM posting WHERE account_id = $1 AND ($2::bigint IS NULL OR sequence < $2)
            ORDER BY sequence DESC LIMIT $3""",
        account,
        before,
        limit,
    )
    return [_transaction(row) for row in rows]


def _transaction(row: Record) -> Transaction:
    return Transaction(
        id=row["id"],
        account=row["account_id"],
        type=row["type"],
        status="completed",
        credits=row["credits"],
        balance_after=row["available_after"],
        description=row["description"],
        reference_type=row["reference_type"],
        reference_id=row["reference_id"],
        metadata={name: str(value) for name, value in row["details"].items()},
        price_version=row["price_version"],
        sequence=row["sequence"],
        at=row["at"],
    )


def _int(value: Any) -> int | None:
    return None if value is None else int(value)
