"""Seeing to it that a purchase has its payment at Stripe: exactly one, through timeouts, crashes and retries.

The intent is recorded and committed, Stripe is called under a key made of the purchase's id, the answer is recorded.
Each step may be repeated while Stripe remembers the key; afterwards the payment is looked for, never made anew.
"""

from datetime import timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.purchases import Purchase
from services.payments.domain.stripe_objects import CheckoutSession, PaymentIntent
from services.payments.store import customers, purchases

KEY_LIFE = timedelta(hours=23)
"""For how long a key is used again; Stripe keeps keys for at least 24 hours."""

GIVEN_UP_AFTER = timedelta(hours=24)
"""From when on what Stripe does not list will never be. The hour between is for calls that were still on their way."""


async def see_to_payment(pool: Pool, stripe: Stripe, purchase: UUID, *, clock: Clock, first_try: bool) -> Purchase:
    """Have Stripe ready to be paid, and our record know of it; a purchase that Stripe refuses has failed.

    Unless this is the first try, what an earlier one may have made is looked for before. Raises UnavailableError while
    Stripe does not tell.
    """
    async with pool.connection() as conn:
        known = await purchases.get(conn, purchase)
    if known.at_stripe or known.over or known.paid:
        return known
    try:
        await _make(pool, stripe, known, clock=clock, first_try=first_try)
    except StripeOutcomeUnknownError as error:
        async with pool.transaction() as conn:
            await purchases.mark_unknown(conn, purchase)
        log.warning("purchase.unknown", purchase=ids.show("purchase", purchase))
        raise StripeOutcomeUnknownError(purchase=ids.show("purchase", purchase)) from error
    except StripeRefusedError as error:
        log.error("purchase.refused", purchase=ids.show("purchase", purchase), reason=error.facts.get("reason"))
        async with pool.transaction() as conn:
            await purchases.move(conn, purchase, "failed", failure=error.detail)
    async with pool.connection() as conn:
        return await purchases.get(conn, purchase)


async def _make(pool: Pool, stripe: Stripe, purchase: Purchase, *, clock: Clock, first_try: bool) -> None:
    found = None if first_try else await _find(stripe, purchase)
    age = clock.now() - purchase.created_at
    if found is None and age >= GIVEN_UP_AFTER:
        await _give_up(pool, purchase)
        return
    if found is None and age >= KEY_LIFE:
        raise StripeOutcomeUnknownError
    if found is None:
        customer = await _customer(pool, stripe, purchase, first_try=first_try)
        found = await _create(stripe, purchase, customer)
    reach("payments.pay.before_commit")
    await _record(pool, purchase, found)
    reach("payments.pay.after_commit")


async def _find(stripe: Stripe, purchase: Purchase) -> PaymentIntent | CheckoutSession | None:
    if purchase.stripe_customer is None:
        return None  # a payment is made for a customer: there can be none
    if purchase.method == "checkout":
        return await stripe.find_checkout_session(purchase, customer=purchase.stripe_customer)
    return await stripe.find_payment_intent(purchase, customer=purchase.stripe_customer)


async def _create(stripe: Stripe, purchase: Purchase, customer: str) -> PaymentIntent | CheckoutSession:
    if purchase.method == "checkout":
        return await stripe.create_checkout_session(purchase, customer=customer)
    return await stripe.create_payment_intent(purchase, customer=customer)


async def _record(pool: Pool, purchase: Purchase, made: PaymentIntent | CheckoutSession) -> None:
    async with pool.transaction() as conn:
        if isinstance(made, CheckoutSession):
            await purchases.know_checkout_session(conn, purchase.id, session=made.id, url=made.url)
        else:
            await purchases.know_payment_intent(
                conn, purchase.id, payment_intent=made.id, client_secret=made.client_secret
            )


async def _give_up(pool: Pool, purchase: Purchase) -> None:
    async with pool.transaction() as conn:
        await purchases.move(conn, purchase.id, "canceled", failure="Stripe never had this payment")
    log.warning("purchase.given_up", purchase=ids.show("purchase", purchase.id))


async def _customer(pool: Pool, stripe: Stripe, purchase: Purchase, *, first_try: bool) -> str:
    """Tell the account's customer at Stripe, making it if there is none: one per account, whoever asks at once."""
    async with pool.connection() as conn:
        known = await customers.get(conn, purchase.account, livemode=purchase.livemode)
    if known.stripe_customer is not None:
        return known.stripe_customer
    nobody_asked_before = first_try and known.created_at == purchase.created_at
    made = None if nobody_asked_before else await stripe.find_customer(known)
    made = made or await stripe.create_customer(known)
    reach("payments.customer.before_commit")
    async with pool.transaction() as conn:
        stands = await customers.know(conn, purchase.account, livemode=purchase.livemode, stripe_customer=made)
    reach("payments.customer.after_commit")
    return stands
