"""Grants by staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.grants_v1 import BulkGrantOrder, Grant, GrantOrder, GrantRowResult
from libs.contracts.ids import GrantId
from services.credits.operations import grants
from services.credits.operations.ledger import Ledger

_GRANTS = "/internal/v1/grants"


def routes(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(dependencies=[Depends(calling_service)])
    router.include_router(_asking(pool, ledger, catalogue, clock))
    router.include_router(_showing(pool))
    router.include_router(_deciding(pool, clock))
    return router


def _asking(pool: Pool, ledger: Ledger, catalogue: Catalogue, clock: Clock) -> APIRouter:
    router = APIRouter(prefix=_GRANTS)

    @router.post("", operation_id="grant", status_code=201)
    async def grant(order: GrantOrder, caller: Caller, key: IdempotencyKey) -> Grant:
        """Give credits to one account, at once unless it needs a second person."""
        alone = catalogue.limits.staff_grant
        return await grants.grant(pool, ledger, clock, order, alone=alone, caller=caller, key=key)

    @router.post("/bulk", operation_id="grantMany", status_code=202)
    async def grant_many(order: BulkGrantOrder, caller: Caller, key: IdempotencyKey) -> Grant:
        """Give credits to many accounts, in the background unless it needs a second person."""
        alone = catalogue.limits.staff_grant
        return await grants.grant_many(pool, clock, order, alone=alone, caller=caller, key=key)

    return router


def _showing(pool: Pool) -> APIRouter:
    router = APIRouter(prefix=_GRANTS)

    @router.get("", operation_id="listGrants")
    async def show_all(
        limit: Annotated[Limit, Query()] = 20, cursor: Annotated[Cursor | None, Query()] = None
    ) -> Page[Grant]:
        """List what staff gave, newest first."""
        return await grants.show_all(pool, limit=limit, cursor=cursor)

    @router.get("/{grant}", operation_id="getGrant")
    async def show(grant: GrantId) -> Grant:
        """Tell of a grant, and how far it is."""
        return await grants.show(pool, grant)

    @router.get("/{grant}/rows", operation_id="listGrantRows")
    async def show_rows(
        grant: GrantId, limit: Annotated[Limit, Query()] = 100, cursor: Annotated[Cursor | None, Query()] = None
    ) -> Page[GrantRowResult]:
        """List a grant's rows in their order, each with what became of it."""
        return await grants.show_rows(pool, grant, limit=limit, cursor=cursor)

    return router


def _deciding(pool: Pool, clock: Clock) -> APIRouter:
    router = APIRouter(prefix=_GRANTS)

    @router.post("/{grant}/approve", operation_id="approveGrant")
    async def approve(grant: GrantId, caller: Caller) -> Grant:
        """Let a grant run that waits for a second person; not the one who asked for it. Again changes nothing."""
        return await grants.decide(pool, clock, grant, to="running", by=caller)

    @router.post("/{grant}/reject", operation_id="rejectGrant")
    async def reject(grant: GrantId, caller: Caller) -> Grant:
        """Reject a grant that waits for a second person. Again changes nothing."""
        return await grants.decide(pool, clock, grant, to="rejected", by=caller)

    return router
