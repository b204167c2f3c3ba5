"""Expiry: what is due is posted once, by whoever comes first: a posting of its account, a reader, or this."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from libs.chassis import failpoints, outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import TRANSIENT, Pool
from libs.chassis.telemetry import ACCOUNTS_NOT_SETTLED, log
from libs.contracts import ids
from libs.contracts.events import LotExpiring
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts, limits

_ACCOUNTS_A_PASS = 500
_WARNINGS_A_PASS = 500


async def settle_due(pool: Pool, ledger: Ledger, clock: Clock) -> int:
    """Write off expired lots and free expired holds of some accounts; returns how many accounts that was.

    An account that cannot be settled stays due, and keeps no other from being settled.
    """
    async with pool.connection() as conn:
        due = await accounts.due_accounts(conn, clock.now(), _ACCOUNTS_A_PASS)
    return await _settle(pool, ledger, due) if due else 0


async def _settle(pool: Pool, ledger: Ledger, due: Sequence[UUID]) -> int:
    """Settle accounts in one transaction; if one of them spoils it, halve them until the culprit is alone."""
    try:
        async with pool.transaction() as conn:
            await ledger.apply(conn, [], due=due)
    except TRANSIENT:
        raise
    except Exception as error:
        if len(due) == 1:
            log.error("expiry.not_settled", account=ids.show("account", due[0]), error=repr(error))
            ACCOUNTS_NOT_SETTLED.inc()
            return 0
        half = len(due) // 2
        return await _settle(pool, ledger, due[:half]) + await _settle(pool, ledger, due[half:])
    return len(due)


async def settle_due_of(pool: Pool, ledger: Ledger, clock: Clock, account: UUID) -> None:
    """Post what is due in one account, so that it can be read as it is."""
    async with pool.connection() as conn:
        due = await accounts.is_due(conn, account, clock.now())
    if due:
        async with pool.transaction() as conn:
            await ledger.apply(conn, [], due=[account])


async def warn_of_expiry(pool: Pool, clock: Clock, *, days: int) -> int:
    """Tell of lots that expire within so many days, once of each; returns how many that was."""
    async with pool.transaction() as conn:
        at = clock.now()
        lots = await limits.warn_of_expiry(conn, before=at + timedelta(days=days), at=at, limit=_WARNINGS_A_PASS)
        told = [
            LotExpiring(
                account=lot["account_id"],
                sequence=lot["sequence"],
                occurred_at=at,
                lot=lot["id"],
                kind=lot["kind"],
                credits=lot["remaining"],
                expires_at=lot["expires_at"],
            )
            for lot in lots
        ]
        await outbox.append(conn, *told, at=at)
        failpoints.reach("credits.warn_of_expiry.before_commit")
    return len(lots)
