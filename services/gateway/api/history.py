"""What moved a balance, what became of every lot: asked from credits each time."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from libs.contracts.http.base import Page, Request
from libs.contracts.http.credits_v1 import Lot, Transaction
from libs.contracts.http.history_v1 import (
    Explanation,
    ExportQuery,
    LotMovement,
    LotQuery,
    PageQuery,
    TransactionDetail,
    TransactionQuery,
)
from libs.contracts.ids import AccountId, LotId, TransactionId
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.history import HistoryClient
from services.gateway.domain.principals import Principal, account_of
from services.gateway.operations import exports

MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}
_EXPORTED: Mapping[str, Any] = {"description": "The file", "content": {media: {} for media in MEDIA.values()}}


class OfAccount(Request):
    """Whose history."""

    account: AccountId | None = None
    """Another account than the key's own; with the scope `admin`."""


class Transactions(TransactionQuery, OfAccount):
    """Which transactions, and whose."""


class Export(ExportQuery, OfAccount):
    """Which transactions, whose, and how written."""


class Lots(LotQuery, OfAccount):
    """Which lots, and whose."""


class OnePage(PageQuery, OfAccount):
    """Which page, and whose."""


def routes(door: Door, history: HistoryClient) -> APIRouter:
    """Make the routes that look back."""
    router = APIRouter(tags=["balance"])
    reader = door.user_or_key_with("credits:read")
    _add_export(router, reader, history)  # before what takes `export` for a transaction's id
    _add_transactions(router, reader, history)
    _add_lots(router, reader, history)
    return router


def _add_transactions(router: APIRouter, reader: Any, history: HistoryClient) -> None:
    @router.get(
        "/v1/transactions",
        operation_id="listTransactions",
        summary="List transactions",
        responses=problems(401, 403, 422),
    )
    async def transactions(
        principal: Annotated[Principal, Depends(reader)], query: Annotated[Transactions, Query()]
    ) -> Page[Transaction]:
        """List what came in and went out, newest first: of a type, a time, a reference, with a text in it."""
        return await history.transactions(account_of(principal, query.account), query)

    @router.get(
        "/v1/transactions/{transaction}",
        operation_id="getTransaction",
        summary="A transaction",
        responses=problems(401, 403, 404, 422),
    )
    async def transaction(
        transaction: TransactionId,
        principal: Annotated[Principal, Depends(reader)],
        query: Annotated[OfAccount, Query()],
    ) -> TransactionDetail:
        """Show a transaction, and of which lots its credits were."""
        return await history.transaction(account_of(principal, query.account), transaction)


def _add_export(router: APIRouter, reader: Any, history: HistoryClient) -> None:
    @router.get(
        "/v1/transactions/export",
        operation_id="exportTransactions",
        summary="Export transactions",
        response_class=StreamingResponse,
        responses={200: dict(_EXPORTED), **problems(401, 403, 422)},
    )
    async def export(
        principal: Annotated[Principal, Depends(reader)], query: Annotated[Export, Query()], response: Response
    ) -> StreamingResponse:
        """Write all transactions that fit into a file, newest first; however many there are, it begins at once."""
        account = account_of(principal, query.account)
        first = await exports.first_page(history, account, query)
        disposition = f'attachment; filename="transactions.{query.format}"'
        return StreamingResponse(
            exports.written(history, account, query, first),
            media_type=MEDIA[query.format],
            headers={**response.headers, "Content-Disposition": disposition},
        )


def _add_lots(router: APIRouter, reader: Any, history: HistoryClient) -> None:
    @router.get("/v1/lots", operation_id="listLots", summary="List lots", responses=problems(401, 403, 422))
    async def lots(principal: Annotated[Principal, Depends(reader)], query: Annotated[Lots, Query()]) -> Page[Lot]:
        """List the grants of credits and what remains of them, newest first."""
        return await history.lots(account_of(principal, query.account), query)

    @router.get(
        "/v1/lots/{lot}/movements",
        operation_id="listLotMovements",
        summary="What moved a lot's credits",
        responses=problems(401, 403, 404, 422),
    )
    async def movements(
        lot: LotId, principal: Annotated[Principal, Depends(reader)], query: Annotated[OnePage, Query()]
    ) -> Page[LotMovement]:
        """List what brought a lot, and all that burnt it, oldest first."""
        return await history.lot_movements(account_of(principal, query.account), lot, query)

    @router.get(
        "/v1/balance/explanation",
        operation_id="explainBalance",
        summary="Explain the balance",
        responses=problems(401, 403, 422),
    )
    async def explanation(
        principal: Annotated[Principal, Depends(reader)], query: Annotated[OnePage, Query()]
    ) -> Explanation:
        """Tell how the balance came to be, lot by lot, newest first: what funded it, and what became of it."""
        return await history.explanation(account_of(principal, query.account), query)
