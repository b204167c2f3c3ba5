"""Limits: what an account and those who spend of it may do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import ActorName
from libs.contracts.http.limits_v1 import (
    AccountLimits,
    Actor,
    ActorLimitsOrder,
    Actors,
    OverdraftOrder,
    PurchaseAllowed,
    PurchaseCheck,
    ResumeOrder,
    ThresholdOrder,
    UncoveredUsageOrder,
)
from services.credits.api.paths import Account
from services.credits.operations import limits
from services.credits.operations.ledger import Ledger


def routes(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1/accounts/{account}", dependencies=[Depends(calling_service)])
    router.include_router(_of_accounts(pool, ledger, catalogue, clock))
    router.include_router(_of_actors(pool, clock))
    return router


def _of_accounts(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    router = APIRouter()

    @router.get("/limits", operation_id="getLimits")
    async def of_account(account: Account) -> AccountLimits:
        """Tell an account's state and its own limits."""
        return await limits.of_account(pool, account)

    @router.put("/overdraft", operation_id="setOverdraft")
    async def set_overdraft(account: Account, order: OverdraftOrder) -> AccountLimits:
        """Say how far below nothing the account may spend."""
        return await limits.set_overdraft(pool, account, order.limit)

    @router.put("/low-balance", operation_id="setLowBalance")
    async def set_threshold(account: Account, order: ThresholdOrder) -> AccountLimits:
        """Say below how much the account is low."""
        return await limits.set_threshold(pool, ledger, account, order.threshold)

    @router.put("/uncovered-usage", operation_id="setUncoveredUsage")
    async def set_uncovered_usage(account: Account, order: UncoveredUsageOrder) -> AccountLimits:
        """Say what comes of usage that the account's credits do not cover."""
        return await limits.set_uncovered_usage(pool, account, order.policy)

    @router.post("/purchase-check", operation_id="checkPurchase")
    async def check_purchase(account: Account, order: PurchaseCheck) -> PurchaseAllowed:
        """Tell whether a purchase of so many credits may begin; 422 with `limit` if not."""
        return await limits.check_purchase(pool, ledger, clock, account, credits=order.credits, limits=catalogue.limits)

    return router


def _of_actors(pool: Pool, clock: Clock) -> APIRouter:
    router = APIRouter()

    @router.post("/resume", operation_id="resume")
    async def resume(account: Account, order: ResumeOrder, caller: Caller) -> AccountLimits:
        """Let an account, or one who spends of it, go on that was stopped since it spent too fast."""
        return await limits.resume(pool, clock, account, actor=order.actor, by=caller)

    @router.get("/actors", operation_id="listActors")
    async def actors(account: Account) -> Actors:
        """Name those who are known to spend of the account, with their limits."""
        return await limits.actors(pool, clock, account)

    @router.put("/actors/{actor}", operation_id="setActorLimits")
    async def set_actor_limits(account: Account, actor: Annotated[ActorName, Path()], order: ActorLimitsOrder) -> Actor:
        """Say what one may spend of the account in a day and in a month."""
        return await limits.set_actor_limits(pool, clock, account, actor, order)

    return router
