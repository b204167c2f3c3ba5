"""The payments service: what is sold, and purchases.

Whoever asks for a purchase names the account: payments answers 404 for a purchase of another.
"""

from uuid import UUID

from libs.chassis.service_client import Done, ServiceClient
from libs.contracts import ids
from libs.contracts.http.base import Page, Request
from libs.contracts.http.payments_v1 import (
    Packs,
    PaymentConfig,
    Purchase,
    Refund,
    RefundOrder,
    StartPurchase,
)
from services.gateway.domain.principals import SignedInUser


class PaymentsClient:
    """Asks payments. Every call raises RemoteError, or UnavailableError if payments does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def packs(self) -> Packs:
        """Ask what is on offer."""
        return await self._service.get("/packs", Packs)

    async def payment_config(self) -> PaymentConfig:
        """Ask what a frontend needs to take a payment."""
        return await self._service.get("/payment-config", PaymentConfig)

    async def quote(self, user: SignedInUser, order: StartPurchase) -> Purchase:
        """Ask what an order that says `quote_only` would cost and bring."""
        return await self._service.post("/purchases", order, Purchase, caller=user.caller)

    async def start_purchase(self, user: SignedInUser, order: StartPurchase, *, idempotency_key: str) -> Done[Purchase]:
        """Start a purchase, once for a key of the user's."""
        return await self._service.post_once(
            "/purchases", order, Purchase, caller=user.caller, idempotency_key=idempotency_key
        )

    async def purchases(self, user: SignedInUser, *, limit: int, cursor: str | None) -> Page[Purchase]:
        """Ask for a page of purchases, newest first."""
        params = _owner(user) | {"limit": limit, "cursor": cursor}
        return await self._service.get("/purchases", Page[Purchase], params=params)

    async def purchase(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Ask for a purchase."""
        return await self._service.get(_path(purchase), Purchase, params=_owner(user))

    async def confirm(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Have the purchase re-read from Stripe."""
        return await self._change(user, purchase, "confirm")

    async def cancel(self, user: SignedInUser, purchase: UUID) -> Purchase:
        """Cancel a purchase that is not paid."""
        return await self._change(user, purchase, "cancel")

    async def refund(
        self, user: SignedInUser, purchase: UUID, order: RefundOrder, *, idempotency_key: str
    ) -> Done[Refund]:
        """Give money back, once for a key of the user's."""
        return await self._service.post_once(
            f"{_path(purchase)}/refunds",
            order,
            Refund,
            caller=user.caller,
            idempotency_key=idempotency_key,
            params=_owner(user),
        )

    async def _change(self, user: SignedInUser, purchase: UUID, verb: str) -> Purchase:
        return await self._service.post(
            f"{_path(purchase)}/{verb}", Request(), Purchase, caller=user.caller, params=_owner(user)
        )


def _path(purchase: UUID) -> str:
    return f"/purchases/{ids.show('purchase', purchase)}"


def _owner(user: SignedInUser) -> dict[str, str | int | None]:
    return {"account": ids.show("account", user.account)}
