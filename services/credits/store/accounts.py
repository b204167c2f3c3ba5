"""Accounts: their balances, as events and answers say them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.events import BalanceChanged
from libs.contracts.http.credits_v1 import Balance, ExpiringCredits, Totals
from services.credits.domain.books import Rules
from services.credits.domain.enforcement import possible_overdraft


async def sequences(conn: Connection, accounts: Sequence[UUID]) -> dict[UUID, int]:
    """Read the sequences of those accounts that exist."""
    rows = await conn.fetch("SELECT id, sequence FROM account WHERE id = ANY($1)", accounts)
    return {row["id"]: row["sequence"] for row in rows}


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


async def is_near_nothing(conn: Connection, account: UUID) -> bool:
    """Tell whether services should hold before they work for the account."""
    return await conn.fetchval("SELECT hold_first FROM account WHERE id = $1", account) is True


async def is_due(conn: Connection, account: UUID, at: datetime) -> bool:
    """Tell whether something of the account may have expired and is not posted yet."""
    return await conn.fetchval("SELECT true FROM account WHERE id = $1 AND next_due <= $2", account, at) is True


async def due_accounts(conn: Connection, at: datetime, limit: int) -> list[UUID]:
    """Name accounts of which something may have expired, the longest due first."""
    rows = await conn.fetch("SELECT id FROM account WHERE next_due <= $1 ORDER BY next_due LIMIT $2", at, limit)
    return [row["id"] for row in rows]


async def balance(conn: Connection, account: UUID, rules: Rules) -> Balance | None:
    """Read an account's whole balance; what is due must be posted."""
    row = await conn.fetchrow(
        """SELECT c.*, l.by_kind, n.expires_at AS next_at, n.remaining AS next_credits
             FROM account AS c
             CROSS JOIN LATERAL (
                 SELECT coalesce(jsonb_object_agg(kind, remaining), '{}') AS by_kind
                   FROM (SELECT kind, sum(remaining) AS remaining FROM lot_now
                          WHERE account_id = c.id AND open GROUP BY kind) AS kinds
             ) AS l
             LEFT JOIN LATERAL (
                 SELECT expires_at, sum(remaining)::bigint AS remaining FROM lot_now
                  WHERE account_id = c.id AND open AND expires_at IS NOT NULL
                  GROUP BY expires_at ORDER BY expires_at LIMIT 1
             ) AS n ON true
            WHERE c.id = $1""",
        account,
    )
    return None if row is None else _whole_balance(row, rules)


def _whole_balance(row: Record, rules: Rules) -> Balance:
    has = _balance(row)
    own_limit = row["overdraft_limit"]
    limit = rules.overdraft_limit if own_limit is None else own_limit
    return Balance(
        account=has.account,
        available=has.available,
        held=has.held,
        overdraft=has.overdraft,
        debt=has.debt,
        by_kind=row["by_kind"],
        next_expiry=ExpiringCredits(credits=row["next_credits"], at=row["next_at"]) if row["next_at"] else None,
        totals=Totals(
            earned=row["earned"],
            purchased=row["purchased"],
            spent=row["spent"],
            expired=row["expired"],
            refunded=row["refunded"],
        ),
        sequence=has.sequence,
        enforcement="holds" if row["hold_first"] and rules.enforcement.adapts else "events",
        possible_overdraft=possible_overdraft(row["state"], available=row["available"], limit=limit),
        low=row["low"] is not False,
        state=row["state"],
    )
