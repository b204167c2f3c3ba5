"""The credits service: what an account's balance was, what moved it, what became of its lots."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
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
    TransactionQuery,
)
from libs.contracts.http.insight_v1 import Forecast, UnusualDays, UsageSpan, UsageSummary


class HistoryClient:
    """Asks credits what was. Every call raises RemoteError, or UnavailableError if credits does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def balance_at(self, account: UUID, at: datetime) -> PastBalance:
        """Ask for the balance at an instant."""
        return await self._service.get(_path(account, "/balance/past"), PastBalance, params={"at": at.isoformat()})

    async def explanation(self, account: UUID, query: PageQuery) -> Explanation:
        """Ask how the balance came to be."""
        return await self._service.get(_path(account, "/balance/explanation"), Explanation, params=_params(query))

    async def transactions(self, account: UUID, query: TransactionQuery | ExportPageQuery) -> Page[Transaction]:
        """Ask for a page of transactions, newest first."""
        return await self._service.get(_path(account, "/transactions"), Page[Transaction], params=_params(query))

    async def transaction(self, account: UUID, transaction: UUID) -> TransactionDetail:
        """Ask for a transaction and its movements."""
        path = _path(account, f"/transactions/{ids.show('transaction', transaction)}")
        return await self._service.get(path, TransactionDetail)

    async def lots(self, account: UUID, query: LotQuery) -> Page[Lot]:
        """Ask for a page of lots, newest first."""
        return await self._service.get(_path(account, "/lots"), Page[Lot], params=_params(query))

    async def lot_movements(self, account: UUID, lot: UUID, query: PageQuery) -> Page[LotMovement]:
        """Ask for a page of what moved a lot's credits, oldest first."""
        path = _path(account, f"/lots/{ids.show('lot', lot)}/movements")
        return await self._service.get(path, Page[LotMovement], params=_params(query))

    async def usage(self, account: UUID, span: UsageSpan, *, by: str) -> UsageSummary:
        """Ask where credits went."""
        return await self._service.get(_path(account, "/usage"), UsageSummary, params=_params(span) | {"by": by})

    async def forecast(self, account: UUID) -> Forecast:
        """Ask when credits run out."""
        return await self._service.get(_path(account, "/forecast"), Forecast)

    async def unusual_days(self, account: UUID) -> UnusualDays:
        """Ask on which days far more was burnt than usual."""
        return await self._service.get(_path(account, "/unusual-days"), UnusualDays)


def _path(account: UUID, rest: str) -> str:
    return f"/accounts/{ids.show('account', account)}{rest}"


def _params(query: BaseModel) -> dict[str, object]:
    return query.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"account"})
