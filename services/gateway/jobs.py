"""Time in: one bounded pass each, that says how much it did."""

from datetime import timedelta

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from services.gateway.clients.credits import CreditsClient
from services.gateway.operations import auth, ledger_accounts
from services.gateway.operations.api_keys import KeyUses


def of_worker(pool: Pool, credits: CreditsClient, clock: Clock) -> list[Job]:
    """Make the jobs of a worker."""

    async def open_ledger_accounts() -> int:
        return await ledger_accounts.open_missing(pool, credits, now=clock.now())

    async def prune_sessions() -> int:
        return await auth.prune(pool, now=clock.now())

    return [
        Job("open_ledger_accounts", open_ledger_accounts, every_seconds=2),
        Job("prune_sessions", prune_sessions, every_seconds=timedelta(hours=1).total_seconds()),
    ]


def of_api(pool: Pool, key_uses: KeyUses) -> list[Job]:
    """Make the jobs of a process that answers requests."""

    async def write_key_uses() -> int:
        return await key_uses.write(pool)

    return [Job("write_key_uses", write_key_uses, every_seconds=10)]
