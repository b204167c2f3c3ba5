"""Customers at Stripe: one per account, whoever asks at once."""

from datetime import datetime
from uuid import UUID

from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from services.payments.clients.stripe import Stripe
from services.payments.store import customers


async def see_to_customer(
    pool: Pool, stripe: Stripe, account: UUID, *, livemode: bool, asked_at: datetime, first_try: bool
) -> str:
    """Tell the account's customer at Stripe, making it if there is none, for something that was asked for then.

    Raises UnavailableError while Stripe does not tell.
    """
    async with pool.connection() as conn:
        known = await customers.get(conn, account, livemode=livemode)
    if known.stripe_customer is not None:
        return known.stripe_customer
    nobody_asked_before = first_try and known.created_at == asked_at
    made = None if nobody_asked_before else await stripe.find_customer(known)
    made = made or await stripe.create_customer(known)
    reach("payments.customer.before_commit")
    async with pool.transaction() as conn:
        stands = await customers.know(conn, account, livemode=livemode, stripe_customer=made)
    reach("payments.customer.after_commit")
    return stands
