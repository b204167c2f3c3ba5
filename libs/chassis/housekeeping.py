"""Jobs that every worker has: forgetting what we promised to remember only so long, and redriving dead letters."""

from libs.chassis import idempotency, inbox, outbox
from libs.chassis.broker import dead_letters
from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job


def jobs(pool: Pool, clock: Clock, consumers: Consumers) -> list[Job]:
    """Make the housekeeping jobs of a worker."""

    async def prune() -> int:
        async with pool.connection() as conn:
            now = clock.now()
            dropped = await outbox.prune(conn, now=now) + await inbox.prune(conn, now=now)
            return dropped + await idempotency.prune(conn, now=now)

    async def redrive() -> int:
        return sum(
            [
                await dead_letters.redrive(pool, subscription.consumer, subscription.redrive, now=clock.now())
                for subscription in consumers.subscriptions
            ]
        )

    return [Job("prune", prune, every_seconds=3600), Job("redrive", redrive, every_seconds=2)]
