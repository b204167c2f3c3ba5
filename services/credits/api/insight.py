"""Insight: where an account's credits went."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.insight_v1 import (
    Forecast,
    HoldSuggestion,
    Margin,
    SuggestionQuery,
    UnusualDays,
    UsageQuery,
    UsageSpan,
    UsageSummary,
)
from services.credits.api.paths import Account
from services.credits.operations import insight, margins, unusual_days
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, clock: Clock, prices: ActivePrices) -> APIRouter:
    """Make the routes."""
    router = APIRouter(dependencies=[Depends(calling_service)])
    router.include_router(_of_accounts(pool, ledger, clock))

    @router.post("/internal/v1/hold-suggestions", operation_id="suggestHold")
    async def suggest_hold(query: SuggestionQuery) -> HoldSuggestion:
        """Suggest how much a hold should reserve, from what the last ones of its kind captured."""
        return await insight.suggest_hold(pool, prices, query)

    return router


def _of_accounts(pool: Pool, ledger: Ledger, clock: Clock) -> APIRouter:
    router = APIRouter(prefix="/internal/v1/accounts/{account}")

    @router.get("/usage", operation_id="sumUsage")
    async def sum_usage(account: Account, query: Annotated[UsageQuery, Query()]) -> UsageSummary:
        """Say where an account's credits went, by day, meter, who used it, or a property."""
        return await insight.summary(pool, account, query)

    @router.get("/forecast", operation_id="foretell")
    async def foretell(account: Account) -> Forecast:
        """Say when an account runs out of credits if it goes on as it did, and what will expire unused."""
        return await insight.foretell(pool, ledger, clock, account)

    @router.get("/margin", operation_id="tellMargin")
    async def tell_margin(account: Account, span: Annotated[UsageSpan, Query()]) -> Margin:
        """Say what an account earned its operator in these days, and what it cost, where its usage says that."""
        return await margins.margin(pool, account, span)

    @router.get("/unusual-days", operation_id="listUnusualDays")
    async def list_unusual_days(account: Account) -> UnusualDays:
        """List the days on which an account burnt far more than it ever did lately."""
        return await unusual_days.of_account(pool, account)

    return router
