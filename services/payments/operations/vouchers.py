"""Vouchers: issued by staff, in batches whose codes are told once; redeemed by customers, each once, ever."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.chassis import idempotency, outbox
from libs.chassis.callers import check_staff
from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Key
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.credits import LARGEST, format_credits
from libs.contracts.events import VoucherRedeemed
from libs.contracts.http.base import Page
from libs.contracts.http.vouchers_v1 import (
    IssuedVoucher,
    IssuedVouchers,
    IssueVouchers,
    RedeemVoucher,
    Redemption,
    Voucher,
    VoucherBatch,
)
from services.payments.domain.errors import AmountOutOfLimitsError, InvalidCodeError
from services.payments.domain.vouchers import Codes, Redeemed
from services.payments.store import vouchers

_DESCRIPTION = "Voucher"


class Redeeming(NamedTuple):
    """What a code has brought; `replayed` if the same account had redeemed it before."""

    redemption: Redemption
    replayed: bool


async def issue(
    pool: Pool, codes: Codes, order: IssueVouchers, *, alone: int | None, caller: str, key: str, at: datetime
) -> IssuedVouchers:
    """Issue vouchers, once for a key of the caller; asked again under it, the same codes are told again.

    `alone` is what one of the staff may give away in one go. Raises NotAllowedError, InvalidRequestError,
    AmountOutOfLimitsError.
    """
    check_staff(caller)
    _check(order, alone=alone, at=at)
    named = Key.of(caller=caller, key=key, operation="issue_vouchers", body=order.model_dump(mode="json"))
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, named, subject=ids.new_id(), at=at)
        batch = claim.subject or ids.new_id()
        if claim.fresh:
            made = [ids.new_id() for _ in range(order.count)]
            hashes = [codes.hash_of(voucher) for voucher in made]
            await vouchers.insert_batch(
                conn, batch, order, made, code_hashes=hashes, description=_DESCRIPTION, by=caller, at=at
            )
        found = await _batch(conn, batch)
        rows = await vouchers.hashes_of(conn, batch)
        reach("payments.vouchers.before_commit")
    reach("payments.vouchers.after_commit")
    log.info("vouchers.issued", batch=ids.show("voucher_batch", batch), count=order.count, by=caller)
    told = [IssuedVoucher(id=row["id"], code=codes.again(row["id"], row["code_hash"])) for row in rows]
    return IssuedVouchers(batch=found, vouchers=told)


async def list_batches(pool: Pool, *, caller: str, limit: int, cursor: str | None) -> Page[VoucherBatch]:
    """List batches, newest first. Raises NotAllowedError, InvalidRequestError for a cursor that we did not give."""
    check_staff(caller)
    before = read_cursor("voucher_batch", cursor)
    async with pool.connection() as conn:
        found = await vouchers.page(conn, before=before, limit=limit + 1)
    more = len(found) > limit
    return Page(data=found[:limit], next_cursor=ids.show("voucher_batch", found[limit - 1].id) if more else None)


async def void_batch(pool: Pool, batch: UUID, *, caller: str, at: datetime) -> VoucherBatch:
    """Make what is not redeemed of a batch void; again changes nothing. Raises NotAllowedError, NotFoundError."""
    check_staff(caller)
    async with pool.transaction() as conn:
        await vouchers.void_batch(conn, batch, by=caller, at=at)
        found = await _batch(conn, batch)
    log.info("vouchers.voided", batch=ids.show("voucher_batch", batch), by=caller)
    return found


async def void(pool: Pool, voucher: UUID, *, caller: str, at: datetime) -> Voucher:
    """Make a voucher void unless it is redeemed, and say which of both it is.

    Only one of a batch: of a gift card the purchase is refunded instead. Raises NotAllowedError, NotFoundError.
    """
    check_staff(caller)
    async with pool.transaction() as conn:
        found = await vouchers.void(conn, voucher, by=caller, at=at)
    if found is None:
        raise NotFoundError
    log.info("voucher.voided", voucher=ids.show("voucher", voucher), state=found.state, by=caller)
    return found


async def redeem(pool: Pool, codes: Codes, request: RedeemVoucher, *, caller: str, key: str, clock: Clock) -> Redeeming:
    """Redeem a code for an account, and tell credits of it. For the same account again, it is answered as it was.

    Raises InvalidCodeError, which is the same whatever is wrong with the code.
    """
    hashes = codes.hashes(request.code)
    body = [ids.show("account", request.account), [one.hex() for one in hashes]]
    named = Key.of(caller=caller, key=key, operation="redeem_voucher", body=body)
    at = clock.now()
    async with pool.transaction() as conn:
        await idempotency.claim(conn, named, subject=None, at=at)
        redeemed = await vouchers.redeem(conn, hashes, account=request.account, user=request.user, at=at)
        if redeemed is None:
            return Redeeming(_shown(await _before(conn, hashes, request.account)), replayed=True)
        await outbox.append(conn, redeemed_event(redeemed), at=at)
        reach("payments.redeem.before_commit")
    reach("payments.redeem.after_commit")
    log.info("voucher.redeemed", voucher=ids.show("voucher", redeemed.id), kind=redeemed.kind)
    return Redeeming(_shown(redeemed), replayed=False)


def read_cursor(kind: str, cursor: str | None) -> UUID | None:
    """Read where a page begins. Raises InvalidRequestError for a cursor that we did not give."""
    try:
        return ids.read(kind, cursor) if cursor else None
    except ValueError as error:
        raise InvalidRequestError("the cursor is not one that we gave") from error


def _check(order: IssueVouchers, *, alone: int | None, at: datetime) -> None:
    if order.expires_at is not None and order.expires_at <= at:
        raise InvalidRequestError("vouchers that have expired already cannot be issued")
    total = order.count * order.credits
    if total > LARGEST:
        raise InvalidRequestError("that many credits in all are beyond what we can count")
    if alone is not None and total > alone:
        raise AmountOutOfLimitsError("one of the staff may not give away so much", limit=format_credits(alone))


async def _batch(conn: Connection, batch: UUID) -> VoucherBatch:
    found = await vouchers.find_batch(conn, batch)
    if found is None:
        raise NotFoundError
    return found


async def _before(conn: Connection, hashes: list[bytes], account: UUID) -> Redeemed:
    redeemed = await vouchers.redeemed_by(conn, hashes, account)
    if redeemed is None:
        raise InvalidCodeError
    return redeemed


def redeemed_event(redeemed: Redeemed) -> VoucherRedeemed:
    """Write that somebody has redeemed it."""
    told = {
        "account": redeemed.account,
        "user": redeemed.user,
        "voucher": redeemed.id,
        "occurred_at": redeemed.redeemed_at,
        "kind": redeemed.kind,
        "credits": redeemed.credits,
        "expires_at": redeemed.expires_at,
        "paid": redeemed.paid,
        "description": redeemed.description,
    }
    return VoucherRedeemed.model_validate(told)


def _shown(redeemed: Redeemed) -> Redemption:
    return Redemption(
        voucher=redeemed.id,
        account=redeemed.account,
        credits=redeemed.credits,
        kind=redeemed.kind,
        expires_at=redeemed.expires_at,
        redeemed_at=redeemed.redeemed_at,
    )
