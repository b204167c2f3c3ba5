"""Jobs that every worker has: forgetting what we promised to remember only so long, and redriving dead letters."""

from collections.abc import Awaitable, Callable

from libs.chassis import idempotency, inbox, outbox
from libs.chassis.broker import dead_letters
from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job


def redrive(pool: Pool, clock: Clock, consumer: str, handle: Callable[[bytes], Awaitable[None]]) -> Job:
    """Make the job that handles a consumer's dead letters again when somebody asks for it."""

    async def run() -> int:
        return await dead_letters.redrive(pool, consumer, handle, now=clock.now())

    return Job(f"redrive {consumer}", run, every_seconds=2)


def jobs(pool: Pool, clock: Clock, consumers: Consumers) -> list[Job]:
    """Make the housekeeping jobs of a worker."""

    async def prune() -> int:
        async with pool.connection() as conn:
            now = clock.now()
            dropped = await outbox.prune(conn, now=now) + await inbox.prune(conn, now=now)
            return dropped + await idempotency.prune(conn, now=now)

    redriving = [redrive(pool, clock, told.consumer, told.redrive) for told in consumers.subscriptions]
    return [Job("prune", prune, every_seconds=3600), *redriving]
