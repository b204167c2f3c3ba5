"""API keys of an account, for its services."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotAllowedError
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.http.base import Cursor, Limit, Page
from libs.contracts.http.gateway_v1 import ApiKey, NewApiKey
from libs.contracts.ids import ApiKeyId
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import api_keys


def routes(door: Door, pool: Pool, clock: Clock) -> APIRouter:
    """Make the routes by which users care for the keys of their account."""
    router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

    @router.post(
        "", operation_id="createApiKey", summary="Make an API key", status_code=201, responses=problems(401, 403, 422)
    )
    async def create(order: NewApiKey, user: Annotated[SignedInUser, Depends(door.user)]) -> ApiKey:
        """Make a key. Its `secret` is in this answer and never again: we keep only what checks it."""
        if "admin" in order.scopes:  # it reaches other people's accounts
            raise NotAllowedError("the scope admin is not for customers to give")
        return await api_keys.create(pool, user.account, order, now=clock.now())

    @router.get("", operation_id="listApiKeys", summary="List API keys", responses=problems(401, 403, 422))
    async def find_all(
        user: Annotated[SignedInUser, Depends(door.user)],
        limit: Annotated[Limit, Query()] = 20,
        cursor: Annotated[Cursor | None, Query()] = None,
    ) -> Page[ApiKey]:
        """List the account's keys that are not revoked, newest first."""
        return await api_keys.of_account(pool, user.account, limit=limit, before=_key(cursor))

    @router.delete(
        "/{key}",
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        status_code=204,
        responses=problems(401, 403, 404, 422),
    )
    async def revoke(key: ApiKeyId, user: Annotated[SignedInUser, Depends(door.user)]) -> None:
        """Revoke a key, at once and for good."""
        await api_keys.revoke(pool, user.account, key, now=clock.now())

    return router


def _key(cursor: str | None) -> UUID | None:
    try:
        return ids.read("api_key", cursor) if cursor else None
    except ValueError as error:
        raise InvalidRequestError("the cursor is none of ours") from error
