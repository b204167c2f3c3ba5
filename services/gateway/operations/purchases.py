"""Purchases: payments decides about them; the gateway says who buys."""

from libs.chassis.errors import NotAuthenticatedError
from libs.chassis.pool import Pool
from libs.contracts.http.payments_v1 import Buyer, Purchase, PurchaseOrder, StartPurchase
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.store import users


async def start(
    pool: Pool, payments: PaymentsClient, user: SignedInUser, order: PurchaseOrder, *, idempotency_key: str | None
) -> Purchase:
    """Start a purchase for a user, once for his key; or quote it. Raises what payments answers."""
    async with pool.connection() as conn:
        found = await users.find(conn, user.user)
    if found is None:
        raise NotAuthenticatedError
    buyer = Buyer(account=user.account, user=found.id, email=found.email, name=found.name)
    start = StartPurchase(buyer=buyer, order=order)
    return await payments.start_purchase(user, start, idempotency_key=idempotency_key)
