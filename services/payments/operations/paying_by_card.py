"""Paying with a saved card, its owner being there: the payment that Stripe has is confirmed, and can pay only once."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.purchases import Purchase
from services.payments.operations.looking import look
from services.payments.store import purchases


async def pay_by_card(pool: Pool, stripe: Stripe, purchase: Purchase, *, clock: Clock, first_try: bool) -> None:
    """Have a purchase paid with the saved card that it names, if it names one and Stripe waits for that.

    Afterwards our record is where Stripe shows it: paid, failed, or waiting for what the buyer's bank asks. Only who
    starts a purchase does this: nobody's card is charged when he has gone. Raises UnavailableError.
    """
    if purchase.paying.card is None or purchase.payment_intent is None or purchase.paid:
        return
    try:
        if not first_try:
            await look(pool, stripe, purchase.id, clock=clock)
        await _confirm(pool, stripe, purchase.id, purchase.payment_intent)
        reach("payments.confirm.before_look")
        await look(pool, stripe, purchase.id, clock=clock)
    except UnavailableError as error:
        async with pool.transaction() as conn:
            await purchases.doubt(conn, purchase.id, look_at=clock.now())
        raise StripeOutcomeUnknownError(purchase=ids.show("purchase", purchase.id)) from error


async def _confirm(pool: Pool, stripe: Stripe, purchase: UUID, payment_intent: str) -> None:
    """Confirm a payment that waits for it. What Stripe refuses, a card that is declined too, the payment shows."""
    async with pool.connection() as conn:
        known = await purchases.get(conn, purchase)
    if known.state not in ("created", "unknown"):
        return
    try:
        await stripe.confirm_payment_intent(known, payment_intent)
    except StripeRefusedError as error:
        log.info("purchase.declined", purchase=ids.show("purchase", purchase), reason=error.facts.get("reason"))
