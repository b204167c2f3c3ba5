"""Vouchers: issued and made void by staff, redeemed by accounts."""

from fastapi import APIRouter, Depends, Response

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.base import REPLAYED_HEADER, Cursor, Limit, Page
from libs.contracts.http.vouchers_v1 import (
    IssuedVouchers,
    IssueVouchers,
    RedeemVoucher,
    Redemption,
    Voucher,
    VoucherBatch,
)
from libs.contracts.ids import VoucherBatchId, VoucherId
from services.payments.domain.vouchers import Codes
from services.payments.operations import vouchers


def routes(pool: Pool, clock: Clock, catalogue: Catalogue, codes: Codes) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.post("/voucher-batches", operation_id="issueVouchers", status_code=201)
    async def issue(order: IssueVouchers, caller: Caller, key: IdempotencyKey) -> IssuedVouchers:
        """Issue vouchers, once for a key of the caller; the same key is told the same codes again."""
        alone = catalogue.limits.staff_grant
        return await vouchers.issue(pool, codes, order, alone=alone, caller=caller, key=key, at=clock.now())

    @router.get("/voucher-batches", operation_id="listVoucherBatches")
    async def list_batches(caller: Caller, limit: Limit = 20, cursor: Cursor | None = None) -> Page[VoucherBatch]:
        """List what was issued and what became of it, newest first."""
        return await vouchers.list_batches(pool, caller=caller, limit=limit, cursor=cursor)

    @router.post("/voucher-batches/{batch}/void", operation_id="voidVoucherBatch")
    async def void_batch(batch: VoucherBatchId, caller: Caller) -> VoucherBatch:
        """Make what is not redeemed of a batch void. Again changes nothing."""
        return await vouchers.void_batch(pool, batch, caller=caller, at=clock.now())

    @router.post("/vouchers/{voucher}/void", operation_id="voidVoucher")
    async def void(voucher: VoucherId, caller: Caller) -> Voucher:
        """Make a voucher void; one that is redeemed stays so, and the answer says it."""
        return await vouchers.void(pool, voucher, caller=caller, at=clock.now())

    @router.post("/vouchers/redeem", operation_id="redeemVoucher", status_code=201)
    async def redeem(request: RedeemVoucher, response: Response, caller: Caller, key: IdempotencyKey) -> Redemption:
        """Redeem a code for an account, once, ever; its own account is answered the same again."""
        done = await vouchers.redeem(pool, codes, request, caller=caller, key=key, clock=clock)
        if done.replayed:
            response.headers[REPLAYED_HEADER] = "true"
        return done.redemption

    return router
