"""Expiry: what is due is posted once, by whoever comes first: a posting of its account, a reader, or this."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts

_ACCOUNTS_A_PASS = 500


async def settle_due(pool: Pool, ledger: Ledger, clock: Clock) -> int:
    """Write off expired lots and free expired holds of some accounts; returns how many accounts that was."""
    async with pool.connection() as conn:
        due = await accounts.due_accounts(conn, clock.now(), _ACCOUNTS_A_PASS)
    if due:
        async with pool.transaction() as conn:
            await ledger.apply(conn, [], due=due)
    return len(due)


async def settle_due_of(pool: Pool, ledger: Ledger, clock: Clock, account: UUID) -> None:
    """Post what is due in one account, so that it can be read as it is."""
    async with pool.connection() as conn:
        due = await accounts.is_due(conn, account, clock.now())
    if due:
        async with pool.transaction() as conn:
            await ledger.apply(conn, [], due=[account])
