"""Seeing to it that a purchase has its payment at Stripe: exactly one, through timeouts, crashes and retries.

The intent is recorded and committed, Stripe is called under a key made of the purchase's id, the answer is recorded.
Each step may be repeated while Stripe remembers the key; afterwards the payment is looked for, never made anew.
"""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.purchases import Purchase
from services.payments.domain.stripe_objects import CheckoutSession, PaymentIntent
from services.payments.operations.customers import see_to_customer
from services.payments.operations.ending import end
from services.payments.operations.making import make_while_remembered
from services.payments.store import customers, purchases

_CARD_IS_GONE = "The saved card can no longer be charged. No money moved."


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
        await _fail(pool, known, error, clock=clock)
    async with pool.connection() as conn:
        return await purchases.get(conn, purchase)


async def _make(pool: Pool, stripe: Stripe, purchase: Purchase, *, clock: Clock, first_try: bool) -> None:
    async def make() -> PaymentIntent | CheckoutSession:
        account, livemode, asked_at = purchase.account, purchase.livemode, purchase.created_at
        customer = await see_to_customer(
            pool, stripe, account, livemode=livemode, asked_at=asked_at, first_try=first_try
        )
        return await _create(stripe, purchase, customer)

    found = None if first_try else await _find(stripe, purchase)
    found = found or await make_while_remembered(make, age=clock.now() - purchase.created_at)
    if found is None:
        await _give_up(pool, purchase)
        return
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


async def _fail(pool: Pool, purchase: Purchase, error: StripeRefusedError, *, clock: Clock) -> None:
    async with pool.transaction() as conn:
        if purchase.paying.card is not None:
            at = clock.now()
            await customers.have_cards_seen_to(conn, purchase.account, livemode=purchase.livemode, at=at)
        failure = error.detail if purchase.paying.card is None else _CARD_IS_GONE
        await end(conn, purchase.id, "failed", failure=failure)


async def _give_up(pool: Pool, purchase: Purchase) -> None:
    async with pool.transaction() as conn:
        await end(conn, purchase.id, "canceled", failure="Stripe never had this payment")
    log.warning("purchase.given_up", purchase=ids.show("purchase", purchase.id))
