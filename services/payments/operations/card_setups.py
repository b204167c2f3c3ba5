"""Saving cards: a wish is recorded, Stripe has one setup intent for it, and the card that comes of it is in the list.

As with purchases each step may be repeated, and an answer that was lost is looked for.
"""

from datetime import datetime
from uuid import UUID

from libs.chassis import idempotency
from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.http import payment_methods_v1 as contract
from libs.contracts.http.payments_v1 import Buyer
from services.payments.clients import stripe_cards
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.cards import MOST_CARDS, SETUP_LIFE, CardSetup
from services.payments.domain.errors import TooManyCardsError
from services.payments.domain.stripe_objects import SetupIntent
from services.payments.operations import answers
from services.payments.operations.answers import Answered
from services.payments.operations.cards import check_room
from services.payments.operations.customers import see_to_customer
from services.payments.operations.making import make_while_remembered
from services.payments.operations.seeing_to_cards import see_to_cards
from services.payments.store import card_setups, customers


async def start_card_setup(
    pool: Pool, stripe: Stripe, buyer: Buyer, *, caller: str, key: str, clock: Clock
) -> Answered:
    """Begin to save a card, and have Stripe ready to take it: one setup intent, however often this is repeated.

    Raises TooManyCardsError, StripeRefusedError, and UnavailableError while nobody knows whether Stripe has made the
    setup intent: the same request under the same key then goes on where this one stopped.
    """
    body = [ids.show("account", buyer.account)]
    whose = Key.of(caller=caller, key=key, operation="start_card_setup", body=body)
    claim = await _claim(pool, whose, buyer, livemode=stripe.livemode, at=clock.now())
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    await see_to_setup(pool, stripe, claim.subject, clock=clock, first_try=claim.fresh)
    async with pool.transaction() as conn:
        known = await card_setups.get(conn, claim.subject)
        refused = known.setup_intent is None
        answer = StripeRefusedError(known.failure) if refused else _shown(known)
        claim = await answers.store(conn, whose, answer)
        reach("payments.card_setup_answer.before_commit")
    return answers.give(claim, replayed=False)


async def confirm_card_setup(
    pool: Pool, stripe: Stripe, setup: UUID, *, account: UUID, clock: Clock
) -> contract.CardSetup:
    """Read again what Stripe says of a setup, and of the cards. Raises NotFoundError, UnavailableError."""
    async with pool.connection() as conn:
        found = await card_setups.find(conn, setup)
    if found is None or found.account != account:
        raise NotFoundError
    return _shown(await follow(pool, stripe, setup, clock=clock))


async def follow(pool: Pool, stripe: Stripe, setup: UUID, *, clock: Clock) -> CardSetup:
    """Bring a setup to where Stripe shows it to be, and the account's cards. Raises UnavailableError."""
    known = await see_to_setup(pool, stripe, setup, clock=clock, first_try=False)
    if known.setup_intent is not None:
        await see_to_cards(pool, stripe, known.account, clock=clock, setup=setup)
    async with pool.connection() as conn:
        return await card_setups.get(conn, setup)


async def resolve_setup(pool: Pool, stripe: Stripe, setup: UUID, *, clock: Clock) -> None:
    """Have a setup know of its intent; one that is waited for no longer ends, at Stripe first, unless it has saved."""
    known = await follow(pool, stripe, setup, clock=clock)
    if not known.open or known.setup_intent is None or clock.now() < known.expires_at:
        return
    try:
        await stripe_cards.cancel_setup_intent(stripe, known, known.setup_intent)
    except StripeRefusedError as error:
        log.info("card_setup.not_canceled", setup=ids.show("card_setup", setup), reason=error.facts.get("reason"))
    finally:
        await follow(pool, stripe, setup, clock=clock)


async def see_to_setup(pool: Pool, stripe: Stripe, setup: UUID, *, clock: Clock, first_try: bool) -> CardSetup:
    """Have Stripe ready to take a card, and our record know of it; what Stripe refuses is over.

    Unless this is the first try, what an earlier one may have made is looked for before. Raises UnavailableError.
    """
    async with pool.connection() as conn:
        known = await card_setups.get(conn, setup)
    if known.setup_intent is not None or not known.open:
        return known
    try:
        await _make(pool, stripe, known, clock=clock, first_try=first_try)
    except StripeOutcomeUnknownError as error:
        async with pool.transaction() as conn:
            await card_setups.mark_unknown(conn, setup)
        raise StripeOutcomeUnknownError(card_setup=ids.show("card_setup", setup)) from error
    except StripeRefusedError as error:
        log.error("card_setup.refused", setup=ids.show("card_setup", setup), reason=error.facts.get("reason"))
        await _give_up(pool, setup, failure=error.detail)
    async with pool.connection() as conn:
        return await card_setups.get(conn, setup)


async def _make(pool: Pool, stripe: Stripe, setup: CardSetup, *, clock: Clock, first_try: bool) -> None:
    async def make() -> SetupIntent:
        customer = await see_to_customer(
            pool, stripe, setup.account, livemode=setup.livemode, asked_at=setup.created_at, first_try=first_try
        )
        return await stripe_cards.create_setup_intent(stripe, setup, customer=customer)

    found = None if first_try else await _find(pool, stripe, setup)
    found = found or await make_while_remembered(make, age=clock.now() - setup.created_at)
    if found is None:
        await _give_up(pool, setup.id, failure="Stripe never had this setup")
        return
    reach("payments.card_setup.before_commit")
    async with pool.transaction() as conn:
        await card_setups.know_intent(conn, setup.id, setup_intent=found.id, client_secret=found.client_secret)
    reach("payments.card_setup.after_commit")


async def _find(pool: Pool, stripe: Stripe, setup: CardSetup) -> SetupIntent | None:
    async with pool.connection() as conn:
        customer = await customers.get(conn, setup.account, livemode=setup.livemode)
    if customer.stripe_customer is None:
        return None  # a setup intent is made for a customer: there can be none
    return await stripe_cards.find_setup_intent(stripe, setup, customer=customer.stripe_customer)


async def _give_up(pool: Pool, setup: UUID, *, failure: str) -> None:
    async with pool.transaction() as conn:
        await card_setups.move(conn, setup, "canceled", failure=failure)


async def _claim(pool: Pool, key: Key, buyer: Buyer, *, livemode: bool, at: datetime) -> Claim:
    """Record key, customer and intent together, or find what the key was used for."""
    setup = ids.new_id()
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=setup, at=at)
        if not claim.fresh:
            return claim
        await customers.intend(conn, buyer, livemode=livemode, at=at)
        await check_room(conn, buyer.account, livemode=livemode)
        if await card_setups.count_open(conn, buyer.account, livemode=livemode) >= MOST_CARDS:
            raise TooManyCardsError(most=MOST_CARDS)
        await card_setups.insert(conn, setup, buyer, livemode=livemode, at=at, expires_at=at + SETUP_LIFE)
        reach("payments.card_setup_start.before_commit")
    reach("payments.card_setup_start.after_commit")
    log.info("card_setup.started", setup=ids.show("card_setup", setup))
    return claim


def _shown(setup: CardSetup) -> contract.CardSetup:
    return contract.CardSetup(
        id=setup.id,
        account=setup.account,
        state=setup.state,
        client_secret=setup.client_secret,
        failure=setup.failure,
        payment_method=setup.card,
        created_at=setup.created_at,
    )
