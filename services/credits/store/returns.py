"""The lots that a purchase or a voucher brought, and what of them is set aside."""

from collections.abc import Sequence
from typing import NamedTuple, get_args
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.events.payments_v1 import LotKind


class BoughtLot(NamedTuple):
    """A lot that a purchase brought, named by its public id."""

    lot: UUID
    account: UUID
    purchase: str
    kind: LotKind
    granted: int
    taken_back: int


class RedeemedLot(NamedTuple):
    """A lot that a voucher brought, named by its public id; `revision` tells which news of it were the last."""

    lot: UUID
    account: UUID
    voucher: str
    kind: LotKind
    granted: int
    taken_back: int
    revision: int


class PurchaseLot(NamedTuple):
    """A lot as it is now; `set_aside` is what holds keep of it, as its money may go back."""

    kind: LotKind
    granted: int
    remaining: int
    taken_back: int
    set_aside: int


async def lots_of(conn: Connection, account: UUID, purchase: str) -> Sequence[PurchaseLot]:
    """Read the lots of an account that a purchase brought, by kind."""
    rows = await conn.fetch(
        """SELECT l.kind, l.granted, l.remaining, l.taken_back, coalesce(h.left, 0)::bigint
             FROM lot_now AS l
             LEFT JOIN LATERAL (
                 SELECT sum((part ->> 'left')::bigint) AS left
                   FROM hold, jsonb_array_elements(hold.parts) AS part
                  WHERE hold.account_id = $1 AND hold.state = 'pending' AND hold.set_aside
                    AND (part ->> 'lot')::uuid = l.id
             ) AS h ON true
            WHERE l.kind = ANY($2) AND l.reference_type = 'purchase' AND l.reference_id = $3 AND l.account_id = $1
            ORDER BY l.kind""",
        account,
        get_args(LotKind),
        purchase,
    )
    return [PurchaseLot(*row) for row in rows]


async def brought_by(conn: Connection, purchases: Sequence[str]) -> list[BoughtLot]:
    """Read all lots that purchases brought."""
    rows = await conn.fetch(
        """SELECT id, account_id, reference_id, kind, granted, taken_back FROM lot
            WHERE kind = ANY($1) AND reference_type = 'purchase' AND reference_id = ANY($2)""",
        get_args(LotKind),
        purchases,
    )
    return [BoughtLot(*row) for row in rows]


async def redeemed_by(conn: Connection, vouchers: Sequence[str]) -> list[RedeemedLot]:
    """Read all lots that vouchers brought."""
    rows = await conn.fetch(
        """SELECT id, account_id, reference_id, kind, granted, taken_back, revision FROM lot
            WHERE kind = ANY($1) AND reference_type = 'voucher' AND reference_id = ANY($2)""",
        get_args(LotKind),
        vouchers,
    )
    return [RedeemedLot(*row) for row in rows]


async def bought_after(
    conn: Connection, lot: UUID, *, limit: int
) -> tuple[list[BoughtLot], list[RedeemedLot], UUID | None]:
    """Look at so many lots after this one, by id: those that were bought, those of vouchers, and the last, if any."""
    rows = await conn.fetch(
        """SELECT id, account_id, reference_id, kind, granted, taken_back, revision, reference_type FROM lot
            WHERE id > $1 ORDER BY id LIMIT $2""",
        lot,
        limit,
    )
    bought = [BoughtLot(*row[:6]) for row in rows if row["reference_type"] == "purchase"]
    redeemed = [RedeemedLot(*row[:7]) for row in rows if row["reference_type"] == "voucher"]
    return bought, redeemed, rows[-1]["id"] if rows else None
