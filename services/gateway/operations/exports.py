"""Exporting an account's transactions, however many: page after page, none kept."""

from collections.abc import AsyncIterator
from uuid import UUID

from libs.contracts.http.base import Page
from libs.contracts.http.credits_v1 import Transaction
from libs.contracts.http.history_v1 import ExportPageQuery, ExportQuery
from services.gateway.clients.history import HistoryClient
from services.gateway.domain import exports


async def first_page(history: HistoryClient, account: UUID, wanted: ExportQuery) -> Page[Transaction]:
    """Read the first page, while an answer may still be a problem document."""
    return await history.transactions(account, _page(wanted, None))


async def written(
    history: HistoryClient, account: UUID, wanted: ExportQuery, first: Page[Transaction]
) -> AsyncIterator[bytes]:
    """Write the first page and all that follow it. Ends amid if credits does not answer any more."""
    page, head = first, True
    while True:
        yield exports.table(page.data, head=head) if wanted.format == "csv" else exports.lines(page.data)
        if page.next_cursor is None:
            return
        page, head = await history.transactions(account, _page(wanted, page.next_cursor)), False


def _page(wanted: ExportQuery, cursor: str | None) -> ExportPageQuery:
    fields = {name: getattr(wanted, name) for name in ("type", "to", "reference", "q")}
    return ExportPageQuery.model_validate({**fields, "from": wanted.from_, "cursor": cursor})
