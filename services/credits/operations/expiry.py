"""Expiry: what has expired is written off once, by whoever comes first: a posting of its account, or this."""

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from services.credits import store

_ACCOUNTS_A_PASS = 500


async def expire_lots(pool: Pool, clock: Clock) -> int:
    """Write off expired lots of some accounts; returns how many accounts that was."""
    async with pool.connection() as conn:
        accounts = await store.accounts_with_expired_lots(conn, clock.now(), _ACCOUNTS_A_PASS)
    if not accounts:
        return 0
    async with pool.transaction() as conn:
        latest = await store.lock_accounts(conn, sorted(accounts))
        at = max(clock.now(), latest) if latest else clock.now()
        changed = await store.expire(conn, accounts, at)
        if changed:
            await store.note_changes(conn, sorted(changed))
    return len(changed)
