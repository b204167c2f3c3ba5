"""Versions of the price book, for staff."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError
from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.http.prices_v1 import (
    ActivationOrder,
    PriceBookChanges,
    PriceBookDocument,
    PriceBookVersions,
)
from libs.contracts.price_book import PriceBook, Slug
from services.credits.operations import price_books

_PREFIX = "/internal/v1/price-books"

Version = Annotated[Slug, Path()]


def routes(pool: Pool, clock: Clock) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)])

    @router.put("/{version}", operation_id="draftPriceBook")
    async def draft(version: Version, document: Annotated[dict[str, Any], Body()], caller: Caller) -> PriceBookDocument:
        """Keep a draft of a version, as a catalogue's `price_book`; one before of the same name is replaced."""
        book = _read(document)
        if book.version != version:
            raise InvalidRequestError(f'version: the document is of "{book.version}"')
        return await price_books.draft(pool, clock, book, by=caller)

    @router.delete("/{version}", operation_id="dropPriceBookDraft", status_code=204)
    async def drop(version: Version) -> None:
        """Forget a draft."""
        await price_books.drop_draft(pool, version)

    @router.post("/{version}/activate", operation_id="activatePriceBook")
    async def activate(version: Version, order: ActivationOrder, caller: Caller) -> PriceBookDocument:
        """Have a draft become active, a minute ahead at least; it cannot be changed any more."""
        return await price_books.activate(pool, clock, version, order.active_from, by=caller)

    whole = APIRouter()
    whole.include_router(router)
    whole.include_router(_reading(pool, clock))
    return whole


def _reading(pool: Pool, clock: Clock) -> APIRouter:
    router = APIRouter(prefix=_PREFIX, dependencies=[Depends(calling_service)])

    @router.get("", operation_id="listPriceBooks")
    async def show_price_books() -> PriceBookVersions:
        """List all versions, and the drafts."""
        return await price_books.show_all(pool, clock)

    @router.get("/{version}", operation_id="getPriceBook")
    async def show_price_book(version: Version) -> PriceBookDocument:
        """Show a version, or a draft."""
        return await price_books.show(pool, clock, version)

    @router.get("/{version}/changes", operation_id="comparePriceBooks")
    async def compare(version: Version, since: Annotated[Slug | None, Query()] = None) -> PriceBookChanges:
        """Say in words what a version changes of another, or of the one that is active before it."""
        return await price_books.compare(pool, clock, version, since=since)

    return router


def _read(document: dict[str, Any]) -> PriceBook:
    """Read by JSON's rules: credits without quotes are an error, not micro-credits. Raises RequestValidationError."""
    try:
        return PriceBook.model_validate_json(orjson.dumps(document))
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from error
