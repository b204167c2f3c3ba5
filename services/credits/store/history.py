"""What happened to an account: its lots, and its transactions, each the first entry of a posting."""

from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts import ids
from libs.contracts.http.credits_v1 import Lot, Transaction


async def lots(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[Lot]:
    """Read lots, newest first."""
    rows = await conn.fetch(
        """SELECT * FROM lot_now WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
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
    """Read what moved the balance, newest first: what each posting said, and the sum of its legs."""
    rows = await conn.fetch(
        """SELECT f.*, l.credits, l.available_after AS balance_after
             FROM (SELECT * FROM entry
                    WHERE account_id = $1 AND leg = 0 AND ($2::bigint IS NULL OR sequence < $2)
                    ORDER BY at DESC, sequence DESC LIMIT $3) AS f
            CROSS JOIN LATERAL (
                SELECT sum(CASE
                               WHEN from_bucket = 'available' AND to_bucket NOT IN ('overdraft', 'debt') THEN -amount
                               WHEN from_bucket = 'debt' THEN -amount
                               WHEN to_bucket = 'available' AND from_bucket <> 'overdraft' THEN amount
                               ELSE 0
                           END)::bigint AS credits,
                       (array_agg(available_after ORDER BY leg DESC))[1] AS available_after
                  FROM entry AS leg
                 WHERE leg.account_id = f.account_id AND leg.at = f.at AND leg.sequence = f.sequence
            ) AS l
            ORDER BY f.sequence DESC""",
        account,
        before,
        limit,
    )
    return [_transaction(row) for row in rows]


def _transaction(row: Record) -> Transaction:
    details = row["details"] or {}
    id: UUID = row["key"]
    return Transaction(
        id=id,
        account=row["account_id"],
        type=row["type"],
        status="completed",
        credits=row["credits"],
        balance_after=row["balance_after"],
        description=row["description"] or _description(row, details),
        reference_type=row["reference_type"] or ("meter" if row["type"] == "usage" else "transaction"),
        reference_id=row["reference_id"] or ids.show("transaction", id),
        metadata=_flat(details),
        price_version=row["price_version"],
        sequence=row["sequence"],
        at=row["at"],
    )


def _description(row: Record, details: dict[str, Any]) -> str:
    """Say what it was for, where nobody said it: a usage by its quantity, all else by its type."""
    if meter := details.get("meter") or (row["type"] == "usage" and row["reference_id"]):
        return f"{details.get('quantity', '')} x {meter}"
    return str(row["type"]).replace("_", " ").capitalize()


def _flat(details: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in details.items():
        if isinstance(value, dict):
            flat |= {inner: str(found) for inner, found in value.items()}
        else:
            flat[name] = str(value)
    return flat
