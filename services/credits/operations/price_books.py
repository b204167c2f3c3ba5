"""Versions of the price book: drafted, activated a minute ahead, compared."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.pool import Connection, Pool
from libs.contracts.http.prices_v1 import (
    PriceBookChanges,
    PriceBookDocument,
    PriceBookState,
    PriceBookVersion,
    PriceBookVersions,
)
from libs.contracts.price_book import PriceBook
from services.credits.domain.errors import InvalidPriceBookError, PriceBookInUseError
from services.credits.domain.pricing import PriceBookError, Prices, changes
from services.credits.store import price_books as store
from services.credits.store.price_books import Draft, Version

AHEAD = timedelta(minutes=1)
"""How long before it becomes active a version is made known: processes read versions more often than that."""
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def adopt(pool: Pool, clock: Clock, book: PriceBook, *, by: str) -> None:
    """Activate the book of the catalogue file: at once if it is the first one, else a minute ahead; once.

    Raises ValueError if another book was activated under its version.
    """
    now = clock.now()
    async with pool.transaction() as conn:
        await store.lock(conn)
        before = await store.version(conn, book.version)
        if before is None:
            active_from = now + AHEAD if await store.names(conn) else _THE_BEGINNING
            await _add(conn, Version(book, active_from, by, now))
        elif before.book != book:
            raise ValueError(
                f'the price book "{book.version}" is in use and says something else: '
                f"{'; '.join(changes(before.book, book))}. Give it a new version"
            )


async def draft(pool: Pool, clock: Clock, book: PriceBook, *, by: str) -> PriceBookDocument:
    """Keep a draft, in place of the one before. Raises InvalidPriceBookError, PriceBookInUseError."""
    try:
        Prices(book)
    except PriceBookError as error:
        raise InvalidPriceBookError(str(error), where=list(error.where)) from error
    made = Draft(book, by, clock.now())
    async with pool.transaction() as conn:
        await store.lock(conn)
        if await store.version(conn, book.version) is not None:
            raise PriceBookInUseError
        await store.keep_draft(conn, made)
    return _document(_drafted(made), book)


async def drop_draft(pool: Pool, version: str) -> None:
    """Forget a draft. Raises NotFoundError."""
    async with pool.transaction() as conn:
        if not await store.drop_draft(conn, version):
            raise NotFoundError


async def activate(
    pool: Pool, clock: Clock, version: str, active_from: datetime | None, *, by: str
) -> PriceBookDocument:
    """Have a draft become active; asked again, the answer is the same. It cannot be changed any more.

    Raises NotFoundError, PriceBookInUseError; InvalidRequestError if that is less than a minute ahead.
    """
    async with pool.transaction() as conn:
        await store.lock(conn)
        now = clock.now()
        made = await store.version(conn, version)
        if made is None:
            drafted = await store.draft(conn, version)
            if drafted is None:
                raise NotFoundError
            made = Version(drafted.book, active_from or now + AHEAD, by, now)
            if made.active_from < now + AHEAD:
                raise InvalidRequestError("active_from: a version becomes active a minute ahead at least")
            await _add(conn, made)
        elif active_from not in (None, made.active_from):
            raise PriceBookInUseError
        return _document(_activated(made, await store.names(conn), now), made.book)


async def _add(conn: Connection, version: Version) -> None:
    """Add a version, which is no draft any more. Raises InvalidRequestError."""
    if not await store.add_version(conn, version):
        raise InvalidRequestError("active_from: another version becomes active at that very instant")
    await store.drop_draft(conn, version.book.version)


async def show_all(pool: Pool, clock: Clock) -> PriceBookVersions:
    """List all versions, and the drafts."""
    async with pool.connection() as conn:
        drafts, versions = await store.drafts(conn), await store.versions(conn)
    names = [(version.book.version, version.active_from) for version in versions]
    activated = [_activated(version, names, clock.now()) for version in reversed(versions)]
    return PriceBookVersions(data=[*map(_drafted, drafts), *activated])


async def show(pool: Pool, clock: Clock, version: str) -> PriceBookDocument:
    """Show a version or a draft. Raises NotFoundError."""
    async with pool.connection() as conn:
        return _document(*await _find(conn, version, clock.now()))


async def _find(conn: Connection, version: str, now: datetime) -> tuple[PriceBookVersion, PriceBook]:
    if (found := await store.version(conn, version)) is not None:
        return _activated(found, await store.names(conn), now), found.book
    if (drafted := await store.draft(conn, version)) is not None:
        return _drafted(drafted), drafted.book
    raise NotFoundError


async def compare(pool: Pool, clock: Clock, version: str, *, since: str | None) -> PriceBookChanges:
    """Say what a version changes of another or, if none is named, of the one that is active before it.

    Raises NotFoundError.
    """
    now = clock.now()
    async with pool.connection() as conn:
        found, new = await _find(conn, version, now)
        if since is None:
            names = await store.names(conn)
            before = [name for name, active_from in names if active_from < (found.active_from or now)]
            if not before:
                raise NotFoundError(f'no version was active before "{version}": say `since` which one')
            since = before[-1]
        _, old = await _find(conn, since, now)
    return PriceBookChanges(since=since, version=version, changes=changes(old, new))


def _document(version: PriceBookVersion, book: PriceBook) -> PriceBookDocument:
    said: dict[str, Any] = book.model_dump(mode="json", exclude_none=True)
    return PriceBookDocument(**version.model_dump(), book=said)


def _drafted(draft: Draft) -> PriceBookVersion:
    return PriceBookVersion(
        version=draft.book.version, state="draft", active_from=None, by=draft.drafted_by, at=draft.drafted_at
    )


def _activated(version: Version, names: Sequence[tuple[str, datetime]], now: datetime) -> PriceBookVersion:
    state: PriceBookState = "scheduled"
    if version.active_from <= now:
        followed = any(version.active_from < active_from <= now for _, active_from in names)
        state = "superseded" if followed else "active"
    return PriceBookVersion(
        version=version.book.version,
        state=state,
        active_from=version.active_from,
        by=version.activated_by,
        at=version.activated_at,
    )
