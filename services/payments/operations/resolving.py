"""Resolving what nobody knows: purchases and refunds of which Stripe's answer was lost, or that it was not told of."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from services.payments.clients.stripe import Stripe
from services.payments.operations.looking import look
from services.payments.operations.paying import see_to_payment
from services.payments.operations.refunds import see_to_refund
from services.payments.store import purchases, refunds

PATIENCE = timedelta(seconds=60)
"""For how long a request in hand is left alone, and between two tries to resolve the same thing."""

_AT_ONCE = 10


async def resolve_purchases(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some purchases without a known payment, and have each know of its payment; returns how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await purchases.take_unresolved(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    await _all(taken, [_resolve_purchase(pool, stripe, purchase, clock=clock) for purchase in taken])
    return len(taken)


async def resolve_refunds(pool: Pool, stripe: Stripe, *, clock: Clock) -> int:
    """Take up some refunds of which Stripe has told us nothing, and see to each; returns how many."""
    now = clock.now()
    async with pool.transaction() as conn:
        taken = await refunds.take_unresolved(conn, idle_since=now - PATIENCE, at=now, limit=_AT_ONCE)
    await _all(taken, [see_to_refund(pool, stripe, refund, clock=clock, first_try=False) for refund in taken])
    return len(taken)


async def _resolve_purchase(pool: Pool, stripe: Stripe, purchase: UUID, *, clock: Clock) -> None:
    known = await see_to_payment(pool, stripe, purchase, clock=clock, first_try=False)
    if known.at_stripe:
        await look(pool, stripe, purchase, clock=clock)


async def _all(taken: Sequence[UUID], tries: Sequence[Awaitable[object]]) -> None:
    """Try all of them: one that fails holds up no other, and has its turn again."""
    results = await asyncio.gather(*tries, return_exceptions=True)
    for one, result in zip(taken, results, strict=True):
        if isinstance(result, UnavailableError):
            log.warning("resolve.later", id=str(one), reason=result.detail)
        elif isinstance(result, BaseException):
            log.error("resolve.failed", id=str(one), exc_info=result)
