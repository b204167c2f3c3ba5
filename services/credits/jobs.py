"""Time in: one bounded pass each, that says how much it did."""

from libs.chassis.broker.producer import Producer
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.announcements import announce_balances
from services.credits.operations.expiry import settle_due, warn_of_expiry
from services.credits.operations.grants import work_off
from services.credits.operations.insight import sum_up
from services.credits.operations.ledger import Ledger
from services.credits.operations.sealing import Sealer


def jobs(
    pool: Pool,
    ledger: Ledger,
    producer: Producer,
    clock: Clock,
    *,
    sealer: Sealer,
    prices: ActivePrices,
    warning_days: int,
) -> list[Job]:
    """Make the jobs of a worker; of what expires within `warning_days` its owners are told."""

    async def announce() -> int:
        return await announce_balances(pool, producer, clock)

    async def settle() -> int:
        return await settle_due(pool, ledger, clock)

    async def warn() -> int:
        return await warn_of_expiry(pool, clock, days=warning_days)

    async def grant() -> int:
        return await work_off(pool, ledger)

    async def sum_usage() -> int:
        return await sum_up(pool, prices)

    announcing = Job("announce_balances", announce, every_seconds=0.25, rest_seconds=0.05)
    pool.on_commit(announcing.wake)
    return [
        announcing,
        Job("settle_due", settle, every_seconds=1),
        Job("warn_of_expiry", warn, every_seconds=60),
        Job("work_off_grants", grant, every_seconds=1),
        Job("seal", sealer.seal, every_seconds=1, rest_seconds=0.5),
        Job("sum_usage", sum_usage, every_seconds=5, rest_seconds=2),
    ]
