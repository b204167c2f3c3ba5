"""Stripe's events about cards: each makes us look at the customer's cards, whatever it says."""

from typing import Any
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from services.payments.clients.stripe import Stripe
from services.payments.domain.stripe_objects import StripeEvent, StripeObject
from services.payments.operations.card_setups import follow
from services.payments.operations.seeing_to_cards import see_to_cards
from services.payments.operations.settlement import Outcome
from services.payments.store import card_setups, cards, customers

SETUPS = frozenset(
    {
        "setup_intent.succeeded",
        "setup_intent.setup_failed",
        "setup_intent.canceled",
        "setup_intent.requires_action",
    }
)
"""About one wish to save a card."""

CARDS = frozenset(
    {
        "payment_method.attached",
        "payment_method.detached",
        "payment_method.updated",
        "payment_method.automatically_updated",
        "customer.updated",
    }
)
"""About what a customer has."""


async def follow_cards(pool: Pool, stripe: Stripe, event: StripeEvent, *, clock: Clock) -> Outcome:
    """Follow an event about cards, however often and late it comes; one that is about nobody we know is ignored."""
    if event.account is not None or event.livemode != stripe.livemode:
        return "ignored"
    if event.type in SETUPS:
        setup = await _setup(pool, event)
        if setup is not None:
            await follow(pool, stripe, setup, clock=clock)
        return "ignored" if setup is None else "applied"
    async with pool.connection() as conn:
        account = await _whose(conn, event.object, livemode=event.livemode)
    if account is not None:
        await see_to_cards(pool, stripe, account, clock=clock)
    return "ignored" if account is None else "applied"


async def _setup(pool: Pool, event: StripeEvent) -> UUID | None:
    named = StripeObject.model_validate(event.object).ours("card_setup")
    if named is None:
        return None
    async with pool.connection() as conn:
        found = await card_setups.find(conn, named)
    return found.id if found is not None and found.livemode == event.livemode else None


async def _whose(conn: Connection, thing: dict[str, Any], *, livemode: bool) -> UUID | None:
    """Tell whose cards are meant: a card that was detached names no customer, but we know whose it was."""
    named = thing["id"] if thing.get("object") == "customer" else thing.get("customer")
    if named is None:
        card = await cards.find_by_method(conn, thing["id"])
        return None if card is None else card.account
    customer = await customers.find_by_stripe_id(conn, str(named))
    return customer.account if customer is not None and customer.livemode == livemode else None
