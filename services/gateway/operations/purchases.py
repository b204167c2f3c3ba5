"""Purchases, and cards that are saved to pay with: payments decides about them; the gateway says who buys."""

from libs.chassis.errors import NotAuthenticatedError
from libs.chassis.pool import Pool
from libs.chassis.service_client import Done
from libs.contracts.http.payment_methods_v1 import CardSetup, StartCardSetup
from libs.contracts.http.payments_v1 import Buyer, Purchase, PurchaseOrder, StartPurchase
from libs.contracts.http.vouchers_v1 import GiftCardOrder, StartGiftCard
from services.gateway.clients.payments import PaymentsClient
from services.gateway.domain.principals import SignedInUser
from services.gateway.store import users


async def quote(pool: Pool, payments: PaymentsClient, user: SignedInUser, order: PurchaseOrder) -> Purchase:
    """Tell what an order would cost and bring. Raises what payments answers."""
    return await payments.quote(user, StartPurchase(buyer=await _buyer(pool, user), order=order))


async def start(
    pool: Pool, payments: PaymentsClient, user: SignedInUser, order: PurchaseOrder, *, idempotency_key: str
) -> Done[Purchase]:
    """Start a purchase for a user, once for a key of his. Raises what payments answers."""
    start = StartPurchase(buyer=await _buyer(pool, user), order=order)
    return await payments.start_purchase(user, start, idempotency_key=idempotency_key)


async def buy_gift_card(
    pool: Pool, payments: PaymentsClient, user: SignedInUser, order: GiftCardOrder, *, idempotency_key: str
) -> Done[Purchase]:
    """Start the purchase of a gift card, once for a key of the user's. Raises what payments answers."""
    start = StartGiftCard(buyer=await _buyer(pool, user), order=order)
    return await payments.buy_gift_card(user, start, idempotency_key=idempotency_key)


async def save_card(
    pool: Pool, payments: PaymentsClient, user: SignedInUser, *, idempotency_key: str
) -> Done[CardSetup]:
    """Begin to save a card for a user's account, once for a key of his. Raises what payments answers."""
    start = StartCardSetup(buyer=await _buyer(pool, user))
    return await payments.start_card_setup(user, start, idempotency_key=idempotency_key)


async def _buyer(pool: Pool, user: SignedInUser) -> Buyer:
    async with pool.connection() as conn:
        found = await users.find(conn, user.user)
    if found is None:
        raise NotAuthenticatedError
    return Buyer(account=user.account, user=found.id, email=found.email, name=found.name)
