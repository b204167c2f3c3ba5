"""Codes of vouchers and gift cards, redeemed by signed-in users. Whoever tries many is slowed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.contracts.http.vouchers_v1 import RedeemCode, Redemption
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.api.once import IdempotencyKey, answered, required
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser


def routes(door: Door, payments: PaymentsClient) -> APIRouter:
    """Make the route by which users redeem codes."""
    router = APIRouter(prefix="/v1/vouchers", tags=["vouchers"])

    @router.post(
        "/redeem",
        operation_id="redeemVoucher",
        summary="Redeem a code",
        status_code=201,
        responses=problems(400, 401, 403, 422),
    )
    async def redeem(
        code: RedeemCode,
        response: Response,
        user: Annotated[SignedInUser, Depends(door.user_with_code)],
        key: IdempotencyKey = None,
    ) -> Redemption:
        """Redeem the code of a voucher or a gift card, once, ever; its credits are in the balance within seconds.

        The account that has redeemed it is answered the same again. Whatever else is wrong with a code is PAY003.
        """
        done = await payments.redeem(user, code.code, idempotency_key=required(key))
        return answered(done, response)

    return router
