"""States: freezing an account, letting it go on, closing it."""

from fastapi import APIRouter, Depends

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.limits_v1 import AccountLimits, ClosingOrder, StateChanges, StateOrder
from services.credits.api.paths import Account
from services.credits.operations import states
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/accounts/{account}", dependencies=[Depends(calling_service)])

    @router.post("/freeze", operation_id="freezeAccount")
    async def freeze(account: Account, order: StateOrder, caller: Caller) -> AccountLimits:
        """Let nothing more be spent or held; settlements and grants go on. Again changes nothing."""
        return await states.freeze(pool, clock, account, by=caller, reason=order.reason)

    @router.post("/unfreeze", operation_id="unfreezeAccount")
    async def unfreeze(account: Account, order: StateOrder, caller: Caller) -> AccountLimits:
        """Let a frozen account spend again. Again changes nothing."""
        return await states.unfreeze(pool, clock, account, by=caller, reason=order.reason)

    @router.post("/close", operation_id="closeAccount")
    async def close(account: Account, order: ClosingOrder, caller: Caller) -> AccountLimits:
        """Close an account for good: it must be empty, or it is forced. Again changes nothing."""
        return await states.close(pool, ledger, clock, account, by=caller, reason=order.reason, force=order.force)

    @router.get("/state-changes", operation_id="listStateChanges")
    async def changes(account: Account) -> StateChanges:
        """Tell who froze the account, let it go on or closed it, and why, the last change first."""
        return await states.changes(pool, account)

    return router
