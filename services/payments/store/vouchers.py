"""Vouchers: issued in batches, redeemed once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.vouchers_v1 import IssueVouchers, Voucher, VoucherBatch
from services.payments.domain.vouchers import Redeemed, TakenBack

_BATCH = """
    SELECT b.id, b.count, b.credits, b.kind, b.expires_at, b.credits_expire_after_days, b.note, b.reference,
           b.issued_by, b.issued_at, v.redeemed, v.void
      FROM voucher_batch b
     CROSS JOIN LATERAL (SELECT count(redeemed_at) AS redeemed, count(voided_at) AS void
                           FROM voucher WHERE batch = b.id) v"""


async def insert_batch(
    conn: Connection,
    batch: UUID,
    order: IssueVouchers,
    vouchers: Sequence[UUID],
    *,
    code_hashes: Sequence[bytes],
    description: str,
    by: str,
    at: datetime,
) -> None:
    """Record a batch and its vouchers."""
    await conn.execute(
        """INSERT INTO voucher_batch (id, count, credits, kind, expires_at, credits_expire_after_days, note, reference,
                                      issued_by, issued_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        batch,
        order.count,
        order.credits,
        order.kind,
        order.expires_at,
        order.credits_expire_after_days,
        order.note,
        order.reference,
        by,
        at,
    )
    await conn.execute(
        """INSERT INTO voucher (id, code_hash, batch, description, credits, kind, expires_at,
                                credits_expire_after_days, issued_at)
           SELECT made.id, made.code_hash, b.id, $4, b.credits, b.kind, b.expires_at, b.credits_expire_after_days,
                  b.issued_at
             FROM voucher_batch b, unnest($2::uuid[], $3::bytea[]) AS made (id, code_hash)
            WHERE b.id = $1""",
        batch,
        vouchers,
        code_hashes,
        description,
    )


async def find_batch(conn: Connection, batch: UUID) -> VoucherBatch | None:
    """Find a batch and count what became of its vouchers."""
    row = await conn.fetchrow(f"{_BATCH} WHERE b.id = $1", batch)
    return VoucherBatch(**row) if row else None


async def page(conn: Connection, *, before: UUID | None, limit: int) -> list[VoucherBatch]:
    """Read batches, newest first, older than `before` if it is given."""
    rows = await conn.fetch(f"{_BATCH} WHERE $1::uuid IS NULL OR b.id < $1 ORDER BY b.id DESC LIMIT $2", before, limit)
    return [VoucherBatch(**row) for row in rows]


async def hashes_of(conn: Connection, batch: UUID) -> list[Record]:
    """Read a batch's vouchers, in the order in which they were made."""
    return await conn.fetch("SELECT id, code_hash FROM voucher WHERE batch = $1 ORDER BY id", batch)


async def void_batch(conn: Connection, batch: UUID, *, by: str, at: datetime) -> None:
    """Make those of a batch void that are neither redeemed nor void."""
    await conn.execute(
        """UPDATE voucher SET voided_at = $2, voided_by = $3
            WHERE batch = $1 AND redeemed_at IS NULL AND voided_at IS NULL""",
        batch,
        at,
        by,
    )


async def void(conn: Connection, voucher: UUID, *, by: str, at: datetime) -> Voucher | None:
    """Make a voucher of a batch void, unless it is redeemed; gives it as it is then, None if there is none."""
    row = await conn.fetchrow(
        """UPDATE voucher
              SET voided_at = CASE WHEN redeemed_at IS NULL THEN coalesce(voided_at, $2) END,
                  voided_by = CASE WHEN redeemed_at IS NULL THEN coalesce(voided_by, $3) END
            WHERE id = $1 AND batch IS NOT NULL
        RETURNING id, batch, CASE WHEN redeemed_at IS NULL THEN 'void' ELSE 'redeemed' END AS state""",
        voucher,
        at,
        by,
    )
    return Voucher(**row) if row else None


async def redeem(
    conn: Connection, code_hashes: Sequence[bytes], *, account: UUID, user: UUID, at: datetime
) -> Redeemed | None:
    """Redeem the voucher that is found by one of these; None if there is none, or it is redeemed, void or expired."""
    row = await conn.fetchrow(
        """UPDATE voucher SET account = $2, user_id = $3, redeemed_at = $4
            WHERE code_hash = ANY($1) AND redeemed_at IS NULL AND voided_at IS NULL
              AND (expires_at IS NULL OR expires_at > $4)
        RETURNING *""",
        code_hashes,
        account,
        user,
        at,
    )
    return _redeemed(row)


async def redeemed_by(conn: Connection, code_hashes: Sequence[bytes], account: UUID) -> Redeemed | None:
    """Find what an account has redeemed before."""
    return _redeemed(
        await conn.fetchrow("SELECT * FROM voucher WHERE code_hash = ANY($1) AND account = $2", code_hashes, account)
    )


async def told_between(
    conn: Connection, *, since: datetime, until: datetime, after: UUID | None, limit: int
) -> list[Redeemed]:
    """Read redeemed vouchers of which the ledger was last told in that time, the oldest first.

    `since` is when it was told of the one before, `after`.
    """
    rows = await conn.fetch(
        """SELECT * FROM voucher
            WHERE redeemed_at IS NOT NULL AND (coalesce(taken_back_at, redeemed_at), id) > ($1, $2)
              AND coalesce(taken_back_at, redeemed_at) <= $3
            ORDER BY coalesce(taken_back_at, redeemed_at), id LIMIT $4""",
        since,
        after or UUID(int=0),
        until,
        limit,
    )
    return [_read(row) for row in rows]


async def find_redeemed(conn: Connection, vouchers: Sequence[UUID]) -> list[Redeemed]:
    """Find those of these vouchers that are redeemed."""
    rows = await conn.fetch("SELECT * FROM voucher WHERE id = ANY($1) AND redeemed_at IS NOT NULL", vouchers)
    return [_read(row) for row in rows]


async def lock_redeemed(conn: Connection, voucher: UUID) -> Redeemed | None:
    """Read a redeemed voucher as it is now and hold it until the transaction ends."""
    return _redeemed(
        await conn.fetchrow("SELECT * FROM voucher WHERE id = $1 AND redeemed_at IS NOT NULL FOR UPDATE", voucher)
    )


def _redeemed(row: Record | None) -> Redeemed | None:
    return _read(row) if row is not None else None


def _read(row: Record) -> Redeemed:
    back = (row["taken_back"], row["taken_back_revision"], row["taken_back_at"])
    return Redeemed(
        id=row["id"],
        account=row["account"],
        user=row["user_id"],
        description=row["description"],
        credits=row["credits"],
        kind=row["kind"],
        cost_minor=row["cost_minor"],
        currency=row["currency"],
        credits_expire_after_days=row["credits_expire_after_days"],
        redeemed_at=row["redeemed_at"],
        purchase=row["purchase"],
        taken_back=TakenBack(*back) if None not in back else None,
    )
