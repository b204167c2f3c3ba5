"""History: what an account's balance was, what moved it, what became of its lots."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.base import Page
from libs.contracts.http.credits_v1 import Lot, Transaction
from libs.contracts.http.history_v1 import (
    Explanation,
    ExportPageQuery,
    LotMovement,
    LotQuery,
    PageQuery,
    PastBalance,
    TransactionDetail,
)
from libs.contracts.ids import LotId, TransactionId
from services.credits.api.paths import Account
from services.credits.operations import history
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, clock: Clock) -> APIRouter:
    """Make the routes that look back."""
    router = APIRouter(prefix="/internal/v1/accounts/{account}", dependencies=[Depends(calling_service)])
    _add_balances(router, pool, ledger, clock)
    _add_transactions(router, pool)
    _add_lots(router, pool)
    return router


def _add_balances(router: APIRouter, pool: Pool, ledger: Ledger, clock: Clock) -> None:
    @router.get("/balance/past", operation_id="getPastBalance")
    async def past_balance(account: Account, at: Annotated[AwareDatetime, Query()]) -> PastBalance:
        """Tell what the balance was at an instant."""
        return await history.balance_at(pool, ledger, clock, account, at=at)

    @router.get("/balance/explanation", operation_id="explainBalance")
    async def explanation(account: Account, query: Annotated[PageQuery, Query()]) -> Explanation:
        """Tell how the balance came to be, lot by lot, newest first."""
        return await history.explain(pool, ledger, clock, account, query)


def _add_transactions(router: APIRouter, pool: Pool) -> None:
    @router.get("/transactions", operation_id="listTransactions")
    async def transactions(account: Account, query: Annotated[ExportPageQuery, Query()]) -> Page[Transaction]:
        """List what moved the balance, newest first."""
        return await history.transactions(pool, account, query)

    @router.get("/transactions/{transaction}", operation_id="getTransaction")
    async def transaction(account: Account, transaction: TransactionId) -> TransactionDetail:
        """Show a transaction and its movements."""
        return await history.transaction(pool, account, transaction)


def _add_lots(router: APIRouter, pool: Pool) -> None:
    @router.get("/lots", operation_id="listLots")
    async def lots(account: Account, query: Annotated[LotQuery, Query()]) -> Page[Lot]:
        """List the grants of credits and what remains of them, newest first."""
        return await history.lots(pool, account, query)

    @router.get("/lots/{lot}/movements", operation_id="listLotMovements")
    async def movements(account: Account, lot: LotId, query: Annotated[PageQuery, Query()]) -> Page[LotMovement]:
        """List what moved a lot's credits, oldest first."""
        return await history.lot_movements(pool, account, lot, query)
