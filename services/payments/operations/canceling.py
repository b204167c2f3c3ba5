"""Canceling purchases, here and at Stripe."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from services.payments.clients.stripe import Stripe, StripeRefusedError
from services.payments.domain.purchases import CancellationReason, Purchase
from services.payments.operations.ending import end
from services.payments.operations.looking import look
from services.payments.operations.paying import see_to_payment


async def cancel(
    pool: Pool,
    stripe: Stripe,
    purchase: UUID,
    *,
    clock: Clock,
    reason: CancellationReason = "requested_by_customer",
) -> None:
    """Cancel a purchase, here and at Stripe, unless it is paid or on its way.

    Whatever Stripe answers, we read from Stripe where the purchase stands afterwards. Raises UnavailableError.
    """
    known = await see_to_payment(pool, stripe, purchase, clock=clock, first_try=False)
    if known.at_stripe and not known.paid and known.state != "canceled":
        try:
            await _cancel_at_stripe(stripe, known, reason)
        finally:
            await look(pool, stripe, purchase, clock=clock)
    elif known.over:
        async with pool.transaction() as conn:
            await end(conn, purchase, "canceled")


async def _cancel_at_stripe(stripe: Stripe, purchase: Purchase, reason: CancellationReason) -> None:
    try:
        if purchase.checkout_session is not None:
            await stripe.expire_checkout_session(purchase, purchase.checkout_session)
        elif purchase.payment_intent is not None:
            await stripe.cancel_payment_intent(purchase, purchase.payment_intent, reason)
    except StripeRefusedError as error:
        log.info("purchase.not_canceled", purchase=ids.show("purchase", purchase.id), reason=error.facts.get("reason"))
