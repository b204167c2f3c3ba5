"""Accounts: opening one, and what is in it."""

from fastapi import APIRouter, Depends

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.credits_v1 import Balance
from services.credits.api.paths import Account
from services.credits.operations import accounts
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    """Make the service's routes."""
    router = APIRouter(prefix="/internal/v1/accounts/{account}", dependencies=[Depends(calling_service)])

    @router.put("", operation_id="openAccount")
    async def open_account(account: Account) -> Balance:
        """Open an account and grant its welcome bonus; again changes nothing."""
        return await accounts.open_account(pool, ledger, account, bonus=catalogue.welcome_bonus, now=clock.now())

    @router.get("/balance", operation_id="getBalance")
    async def balance(account: Account) -> Balance:
        """Tell the balance."""
        return await accounts.balance(pool, ledger, clock, account)

    return router
