"""Time in: one bounded pass per job."""

from datetime import timedelta

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from libs.chassis.sealing import Seal
from services.notifications import operations
from services.notifications.clients import Mailer
from services.notifications.domain.rendering import Templates


def deliver(pool: Pool, *, mailer: Mailer, templates: Templates, seal: Seal, clock: Clock, lease: timedelta) -> Job:
    """Send what is due: at once when a commit of this process may have made it so, else within a second."""

    async def run() -> int:
        return await operations.deliver_due(
            pool, mailer=mailer, templates=templates, seal=seal, clock=clock, lease=lease
        )

    job = Job("deliver", run, every_seconds=1)
    pool.on_commit(job.wake)
    return job


def prune(pool: Pool, *, clock: Clock, keep_deliveries: timedelta) -> Job:
    """Forget what has been kept long enough."""

    async def run() -> int:
        return await operations.prune(pool, now=clock.now(), keep_deliveries=keep_deliveries)

    return Job("prune_deliveries", run, every_seconds=3600)
