"""Time in: one bounded pass each, that says how much it did."""

from libs.chassis.broker.producer import Producer
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from services.credits.operations.announcements import announce_balances
from services.credits.operations.expiry import settle_due
from services.credits.operations.ledger import Ledger
from services.credits.operations.sealing import Sealer


def jobs(pool: Pool, ledger: Ledger, producer: Producer, clock: Clock, sealer: Sealer) -> list[Job]:
    """Make the jobs of a worker."""

    async def announce() -> int:
        return await announce_balances(pool, producer, clock)

    async def settle() -> int:
        return await settle_due(pool, ledger, clock)

    announcing = Job("announce_balances", announce, every_seconds=0.25, rest_seconds=0.05, longest_rest_seconds=0.4)
    pool.on_commit(announcing.wake)
    return [
        announcing,
        Job("settle_due", settle, every_seconds=1),
        Job("seal", sealer.seal, every_seconds=1, rest_seconds=1),
    ]
