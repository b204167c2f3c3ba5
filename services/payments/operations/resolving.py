"""Resolving what nobody knows: purchases and refunds of which Stripe's answer was lost, or that it was not told of.

And what nobody comes back to: purchases that are not paid in time.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.operations.canceling import cancel
from services.payments.operations.card_setups import resolve_setup
from services.payments.operations.looking import look
from services.payments.operations.paying import see_to_payment
from services.payments.operations.refunds import see_to_refund
from services.payments.operations.seeing_to_cards import see_to_cards
from services.payments.store import card_setups, customers, purchases, refunds

PATIENCE = timedelta(seconds=60)
"""For how long a request in hand is left alone, and between two tries to resolve the same thing."""

WAITS = timedelta(days=35)
"""After how long a purchase that still waits gets its last look."""

_AT_ONCE = 10


async def resolve_purchases(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some purchases without a known payment, and have each know of its payment; returns how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await purchases.take_unresolved(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    await _all(taken, [_resolve_purchase(pool, stripe, purchase, clock=clock) for purchase in taken])
    return len(taken)


async def resolve_refunds(
    pool: Pool, stripe: Stripe, credits: CreditsClient, *, policies: Policies, clock: Clock
) -> int:
    """Take up some refunds of which Stripe has told us nothing, and see to each; returns how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await refunds.take_unresolved(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    tries = [
        see_to_refund(pool, stripe, credits, refund, policies=policies, clock=clock, first_try=False)
        for refund in taken
    ]
    await _all(taken, tries)
    return len(taken)


async def cancel_abandoned(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some purchases that were not paid in time, and cancel each, at Stripe first; returns how many.

    Otherwise they could be paid for ever at their old price, and keep a promo code from everybody.
    """
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await purchases.take_abandoned(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    await _all(taken, [_cancel_abandoned(pool, stripe, purchase, clock=clock) for purchase in taken])
    return len(taken)


async def look_at_waiting(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some purchases that wait with a payment at Stripe, and look where each stands; returns how many.

    Stripe's events usually come first. Each look is twice as far from the start as the one before, and after weeks
    there are no more: money that comes later still shows in Stripe's balance.
    """
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await purchases.take_to_look_at(conn, at=now, created_since=now - WAITS, limit=_AT_ONCE)
    await _all(taken, [look(pool, stripe, purchase, clock=clock) for purchase in taken])
    return len(taken)


async def resolve_card_setups(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some wishes to save a card that Stripe's answer is missing of, or that nobody came back to; how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await card_setups.take_due(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    await _all(taken, [resolve_setup(pool, stripe, setup, clock=clock) for setup in taken])
    return len(taken)


async def see_to_due_cards(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some accounts of whose cards Stripe is to be told something, or was told and did not answer; how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await customers.take_due(
            conn, livemode=stripe.livemode, at=now, again_at=now + PATIENCE, limit=_AT_ONCE
        )
    await _all(taken, [see_to_cards(pool, stripe, account, clock=clock) for account in taken])
    return len(taken)


async def _resolve_purchase(pool: Pool, stripe: Stripe, purchase: UUID, *, clock: Clock) -> None:
    known = await see_to_payment(pool, stripe, purchase, clock=clock, first_try=False)
    if known.at_stripe:
        await look(pool, stripe, purchase, clock=clock)


async def _cancel_abandoned(pool: Pool, stripe: Stripe, purchase: UUID, *, clock: Clock) -> None:
    """Cancel a purchase that nobody has paid in time; first look, since it may be on its way and nobody has told us."""
    await look(pool, stripe, purchase, clock=clock)
    reach("payments.abandon.looked")
    async with pool.connection() as conn:
        known = await purchases.get(conn, purchase)
    if known.abandoned(clock.now()):
        await cancel(pool, stripe, purchase, clock=clock, reason="abandoned")
        log.info("purchase.abandoned", purchase=ids.show("purchase", purchase))


async def _all(taken: Sequence[UUID], tries: Sequence[Awaitable[object]]) -> None:
    """Try all of them: one that fails holds up no other, and has its turn again."""
    results = await asyncio.gather(*tries, return_exceptions=True)
    for one, result in zip(taken, results, strict=True):
        if isinstance(result, UnavailableError):
            log.warning("resolve.later", id=str(one), reason=result.detail)
        elif isinstance(result, BaseException):
            log.error("resolve.failed", id=str(one), exc_info=result)
