"""Time in: one bounded pass each, that says how much it did."""

from functools import partial

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
from services.credits.operations.limits import watch_overdrafts
from services.credits.operations.sealing import Sealer
from services.credits.operations.unusual_days import Watch


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
    announcing = Job(
        "announce_balances", partial(announce_balances, pool, producer, clock), every_seconds=0.25, rest_seconds=0.05
    )
    pool.on_commit(announcing.wake)
    return [
        announcing,
        Job("settle_due", partial(settle_due, pool, ledger, clock), every_seconds=1),
        Job("warn_of_expiry", partial(warn_of_expiry, pool, clock, days=warning_days), every_seconds=60),
        Job("work_off_grants", partial(work_off, pool, ledger), every_seconds=1),
        Job("seal", sealer.seal, every_seconds=1, rest_seconds=0.5),
        Job("sum_usage", partial(sum_up, pool, clock, prices, pauses=1), every_seconds=5, rest_seconds=2),
        Job("watch_overdrafts", partial(watch_overdrafts, pool, ledger), every_seconds=60),
        Job("watch_activity", Watch(pool, clock).look, every_seconds=60, rest_seconds=0.5),
    ]
