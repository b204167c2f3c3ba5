"""What became of lots: the sums of their entries, and each entry."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.credits_v1 import Lot
from libs.contracts.http.history_v1 import LotExplanation, LotMovement
from libs.contracts.money import Money
from services.credits.store.history import caused, moved


async def explanations(conn: Connection, lots: Sequence[Lot]) -> list[LotExplanation]:
    """Explain lots of one account, in the order given: one walk through its entries since the first of them came."""
    if not lots:
        return []
    rows = await conn.fetch(
        """SELECT l.cost_minor, l.currency, f.*
             FROM lot AS l
             INNER JOIN (
                 SELECT lot_id, (array_agg(key ORDER BY at, sequence, leg))[1] AS funded_by,
                        (array_agg(from_bucket ORDER BY at, sequence, leg))[1] AS source,
                        sum(CASE 'held'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END)
                            AS held,
                        sum(CASE 'revenue'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END)
                            AS revenue,
                        sum(CASE 'stripe'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END)
                            AS stripe,
                        sum(CASE 'transit'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END)
                            AS transit,
                        sum(CASE WHEN to_bucket = 'breakage' THEN amount ELSE 0 END) AS expired,
                        sum(CASE WHEN from_bucket = 'debt' AND to_bucket = 'stripe' THEN amount ELSE 0 END) AS owed,
                        sum(CASE WHEN to_bucket IN ('debt', 'overdraft') THEN amount ELSE 0 END) AS repaid
                   FROM entry WHERE account_id = $1 AND at >= $2 AND lot_id = ANY($3)
                  GROUP BY lot_id
             ) AS f ON f.lot_id = l.id""",
        lots[0].account,
        min(lot.granted_at for lot in lots),
        [lot.id for lot in lots],
    )
    found = {row["lot_id"]: row for row in rows}
    return [_explanation(lot, found[lot.id]) for lot in lots]


def _explanation(lot: Lot, row: Record) -> LotExplanation:
    """Say what became of a lot; the bucket that it came from gave what was granted, and may have got some back."""

    def went_to(bucket: str) -> int:
        return int(row[bucket]) + (lot.granted if row["source"] == bucket else 0)

    paid = None if row["cost_minor"] is None else Money(amount_minor=row["cost_minor"], currency=row["currency"])
    return LotExplanation(
        lot=lot,
        funded_by=row["funded_by"],
        paid=paid,
        held=int(row["held"]),
        spent=went_to("revenue"),
        expired=int(row["expired"]),
        taken_back=went_to("stripe"),
        owed=int(row["owed"]),
        repaid=int(row["repaid"]),
        transferred=went_to("transit"),
    )


async def granted_at(conn: Connection, account: UUID, lot: UUID) -> datetime | None:
    """Tell when a lot of an account came; None if it has no such lot."""
    found: datetime | None = await conn.fetchval(
        "SELECT granted_at FROM lot WHERE id = $1 AND account_id = $2", lot, account
    )
    return found


async def movements(
    conn: Connection, account: UUID, lot: UUID, *, after: tuple[datetime, int, int], limit: int
) -> list[tuple[LotMovement, int]]:
    """Read a lot's entries after an instant, a sequence and a leg, oldest first, each with its leg."""
    rows = await conn.fetch(
        """SELECT m.lot_id, m.from_bucket, m.to_bucket, m.amount, m.available_after, m.held_after, m.debt_after, m.leg,
                  f.key, f.type, f.description, f.reference_type, f.reference_id, f.details, f.sequence, f.at
             FROM (SELECT * FROM entry
                    WHERE account_id = $1 AND lot_id = $2 AND at >= $3 AND (at, sequence, leg) > ($3, $4, $5::smallint)
                    ORDER BY at, sequence, leg LIMIT $6) AS m
            CROSS JOIN LATERAL (
                SELECT * FROM entry
                 WHERE account_id = m.account_id AND at = m.at AND sequence = m.sequence AND leg = 0
            ) AS f
            ORDER BY m.at, m.sequence, m.leg""",
        account,
        lot,
        *after,
        limit,
    )
    return [(_movement(row), row["leg"]) for row in rows]


def _movement(row: Record) -> LotMovement:
    details = row["details"] or {}
    return LotMovement(
        **moved(row),
        **caused(row),
        transaction=row["key"],
        event_source=details.get("source"),
        event_id=details.get("event_id"),
    )
