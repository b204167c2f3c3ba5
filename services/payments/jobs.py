"""Time in: one bounded pass each, that says how much it did."""

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from services.payments.clients.stripe import Stripe
from services.payments.operations.resolving import resolve_purchases, resolve_refunds


def jobs(pool: Pool, stripe: Stripe, clock: Clock) -> list[Job]:
    """Make the jobs of a worker."""

    async def purchases() -> int:
        return await resolve_purchases(pool, stripe, clock=clock)

    async def refunds() -> int:
        return await resolve_refunds(pool, stripe, clock=clock)

    return [
        Job("resolve_purchases", purchases, every_seconds=5),
        Job("resolve_refunds", refunds, every_seconds=5),
    ]
