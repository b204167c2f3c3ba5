"""Where credits went, and when they run out: asked from credits each time."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from libs.contracts.http.insight_v1 import Forecast, UnusualDays, UsageQuery, UsageSpan, UsageSummary
from services.gateway.api import problems
from services.gateway.api.door import Account, Door
from services.gateway.api.history import OfAccount
from services.gateway.clients.history import HistoryClient
from services.gateway.domain.principals import Principal, account_of

_PROBLEMS = problems(401, 403, 404, 422)
_GROUPED = {"daily": "day", "by-meter": "meter", "by-model": "property:model"}


class Summary(OfAccount, UsageQuery):
    """Which days, told apart by what, and whose."""


class Span(OfAccount, UsageSpan):
    """Which days, and whose."""


def routes(door: Door, history: HistoryClient) -> APIRouter:
    """Make the routes that sum up."""
    router = APIRouter(prefix="/v1/usage", tags=["usage"])
    reader = door.user_or_key_with("credits:read")

    @router.get("/summary", operation_id="sumUsage", summary="Sum usage", responses=_PROBLEMS)
    async def summary(
        query: Annotated[Summary, Query()], principal: Annotated[Principal, Depends(reader)]
    ) -> UsageSummary:
        """Say where credits went, by day, meter, who used them, or a property of a meter."""
        return await history.usage(account_of(principal, query.account), query, by=query.by)

    @router.get("/forecast", operation_id="foretell", summary="Forecast", responses=_PROBLEMS)
    async def forecast(principal: Annotated[Principal, Depends(reader)], account: Account = None) -> Forecast:
        """Say when credits run out if it goes on as it did, and what will expire unused."""
        return await history.forecast(account_of(principal, account))

    @router.get("/unusual", operation_id="listUnusualDays", summary="Unusual days", responses=_PROBLEMS)
    async def unusual(principal: Annotated[Principal, Depends(reader)], account: Account = None) -> UnusualDays:
        """List the days on which far more was burnt than ever lately, the newest first."""
        return await history.unusual_days(account_of(principal, account))

    for name, by in _GROUPED.items():
        _add_grouped(router, reader, history, name=name, by=by)
    return router


def _add_grouped(router: APIRouter, reader: Any, history: HistoryClient, *, name: str, by: str) -> None:
    async def grouped(
        query: Annotated[Span, Query()],
        principal: Annotated[Principal, Depends(reader)],
    ) -> UsageSummary:
        return await history.usage(account_of(principal, query.account), query, by=by)

    router.add_api_route(
        f"/{name}",
        grouped,
        methods=["GET"],
        operation_id=f"sumUsage{name.title().replace('-', '')}",
        summary=f"Sum usage {name.replace('-', ' ')}",
        description=f"As `/v1/usage/summary` with `by={by}`.",
        responses=_PROBLEMS,
    )
