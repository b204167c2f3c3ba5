"""What happened to an account: its lots, its balance at any time, its transactions, each told by its first entry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.credits_v1 import Lot, Transaction
from libs.contracts.http.history_v1 import Movement, PastBalance, TransactionDetail
from libs.contracts.money import Money

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which transactions, and from where on: those before `before`, an instant and a sequence in it, newest first."""

    account: UUID
    before: tuple[datetime, int] = (END, 0)
    since: datetime = BEGINNING
    type: str | None = None
    reference: tuple[str, str] | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class WantedLots:
    """Which lots, and from where on, newest first."""

    account: UUID
    before: UUID | None = None
    kind: str | None = None
    open: bool | None = None


async def account_exists(conn: Connection, account: UUID) -> bool:
    """Tell whether there is such an account."""
    return await conn.fetchval("SELECT true FROM account WHERE id = $1", account) is True


async def balance_at(conn: Connection, account: UUID, at: datetime) -> PastBalance:
    """Read what the last entry up to an instant has left."""
    row = await conn.fetchrow(
        """SELECT sequence, available_after, held_after, debt_after FROM entry WHERE account_id = $1 AND at <= $2
            ORDER BY at DESC, sequence DESC, leg DESC LIMIT 1""",
        account,
        at,
    )
    sequence, available, held, debt = row or (0, 0, 0, 0)
    return PastBalance(
        account=account,
        at=at,
        available=max(available, 0),
        held=held,
        overdraft=max(-available, 0),
        debt=debt,
        sequence=sequence,
    )


async def lots(conn: Connection, wanted: WantedLots, *, limit: int) -> list[Lot]:
    """Read lots, newest first."""
    rows = await conn.fetch(
        """SELECT * FROM lot_now
            WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR kind = $3)
              AND ($4::boolean IS NULL OR open = $4)
            ORDER BY id DESC LIMIT $5""",
        wanted.account,
        wanted.before,
        wanted.kind,
        wanted.open,
        limit,
    )
    return [lot(row) for row in rows]


def lot(row: Record) -> Lot:
    """Show a row of `lot_now`."""
    return Lot(
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


_FIRST_ENTRIES = """
SELECT * FROM entry
 WHERE account_id = $1 AND leg = 0 AND at >= $2 AND at <= $3 AND (at, sequence) < ($3, $4)
   AND ($8::text IS NULL OR description ILIKE $8 OR reference_id ILIKE $8
        OR regexp_replace(details::text, ',"cost":[0-9]+,"currency":"[a-z]{{3}}"', '') ILIKE $8)
   AND {which}
 ORDER BY at DESC, sequence DESC LIMIT $9
"""
_SHOWN = """
SELECT f.*, l.credits, l.available_after AS balance_after, h.state AS hold, c.refunded = c.amount AS refunded,
       bought.cost_minor, bought.currency
  FROM ({first}) AS f
 CROSS JOIN LATERAL (
     SELECT sum(CASE
                    WHEN from_bucket = 'available' AND to_bucket NOT IN ('overdraft', 'debt') THEN -amount
                    WHEN from_bucket = 'debt' AND to_bucket = 'stripe' THEN -amount
                    WHEN to_bucket = 'available' AND from_bucket NOT IN ('overdraft', 'debt') THEN amount
                    ELSE 0
                END)::bigint AS credits,
            (array_agg(available_after ORDER BY leg DESC))[1] AS available_after
       FROM entry AS leg
      WHERE leg.account_id = f.account_id AND leg.at = f.at AND leg.sequence = f.sequence
 ) AS l
  LEFT JOIN hold AS h ON f.type = 'hold' AND h.id = f.key
  LEFT JOIN charge AS c ON f.type = 'charge' AND c.id = f.key AND c.amount > 0
  LEFT JOIN lot AS bought ON f.from_bucket = 'stripe' AND f.to_bucket = 'available' AND f.type <> 'payment_refund'
                         AND bought.id = f.lot_id
 ORDER BY f.at DESC, f.sequence DESC
"""
# Each can use an index that the others cannot: a filter that may be left out would hide it from a plan that is kept.
_OF_ALL = _FIRST_ENTRIES.format(
    which="""($5::posting_type IS NULL OR type = $5)
   AND ($6::text IS NULL OR ($6 = 'meter' AND reference_type IS NULL AND reference_id = $7))"""
)
_OF_TYPE = _FIRST_ENTRIES.format(
    which="""type = $5 AND type <> 'usage' AND ($6::text IS NULL OR (reference_type = $6 AND reference_id = $7))"""
)
_OF_REFERENCE = _FIRST_ENTRIES.format(
    which="""reference_type = $6 AND reference_id = $7 AND ($5::posting_type IS NULL OR type = $5)"""
)
_ONE = "SELECT * FROM entry WHERE key = $1 AND account_id = $2 AND leg = 0 ORDER BY sequence LIMIT 1"


async def transactions(conn: Connection, wanted: Wanted, *, limit: int) -> list[Transaction]:
    """Read what moved the balance, newest first: what each posting said, and the sum of its entries."""
    kind, name = wanted.reference or (None, None)
    text = f"%{_literally(wanted.text)}%" if wanted.text is not None else None
    arguments = (wanted.account, wanted.since, *wanted.before, wanted.type, kind, name, text, limit)
    if wanted.reference is not None and kind != "meter":
        rows = await conn.fetch(_SHOWN.format(first=_OF_REFERENCE), *arguments)
    elif wanted.type not in (None, "usage"):
        rows = await conn.fetch(_SHOWN.format(first=_OF_TYPE), *arguments)
    else:
        rows = await conn.fetch(_SHOWN.format(first=_OF_ALL), *arguments)
    return [Transaction(**_said(row)) for row in rows]


def _literally(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def transaction(conn: Connection, account: UUID, key: UUID) -> TransactionDetail | None:
    """Read one transaction of an account, with its movements."""
    row = await conn.fetchrow(_SHOWN.format(first=_ONE), key, account)
    if row is None:
        return None
    legs = await conn.fetch(
        "SELECT * FROM entry WHERE account_id = $1 AND at = $2 AND sequence = $3 ORDER BY leg",
        account,
        row["at"],
        row["sequence"],
    )
    return TransactionDetail(**_said(row), movements=[Movement(**moved(leg)) for leg in legs])


def moved(row: Record) -> dict[str, Any]:
    """Say what an entry moved."""
    return {
        "lot": row["lot_id"],
        "moved_from": row["from_bucket"],
        "moved_to": row["to_bucket"],
        "credits": row["amount"],
        "available_after": row["available_after"],
        "held_after": row["held_after"],
        "debt_after": row["debt_after"],
    }


def caused(row: Record) -> dict[str, Any]:
    """Say what a posting's first entry says it was for."""
    details = row["details"] or {}
    meter = row["reference_id"] if row["type"] == "usage" else details.get("meter")
    return {
        "type": row["type"],
        "description": row["description"] or (f"{details.get('quantity', '')} x {meter}" if meter else ""),
        "reference_type": row["reference_type"] or ("meter" if meter else None),
        "reference_id": row["reference_id"] or meter,
        "sequence": row["sequence"],
        "at": row["at"],
    }


def _said(row: Record) -> dict[str, Any]:
    return {
        **caused(row),
        "id": row["key"],
        "account": row["account_id"],
        "status": _status(row),
        "credits": row["credits"],
        "balance_after": row["balance_after"],
        "note": row["description"] if row["type"] == "granted" else None,
        "paid": _paid(row),
        "metadata": _metadata(row["details"] or {}),
        "price_version": row["price_version"],
    }


def _status(row: Record) -> str:
    if row["hold"] is not None:
        return {"pending": "pending", "captured": "completed"}.get(row["hold"], "refunded")
    return "refunded" if row["refunded"] else "completed"


def _paid(row: Record) -> Money | None:
    return None if row["cost_minor"] is None else Money(amount_minor=row["cost_minor"], currency=row["currency"])


_NOT_SHOWN = {"properties", "metadata", "actor", "time", "cost", "currency"}
"""The first two are shown one by one; what a usage cost the operator is nobody else's business."""


def _metadata(details: dict[str, Any]) -> dict[str, str]:
    nested = {**details.get("properties", {}), **details.get("metadata", {})}
    plain = {name: value for name, value in details.items() if name not in _NOT_SHOWN}
    return {name: str(value) for name, value in {**plain, **nested}.items()}
