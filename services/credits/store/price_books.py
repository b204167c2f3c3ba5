"""Versions of the price book, and drafts of some."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from libs.chassis.pool import Connection, Record
from libs.contracts.price_book import PriceBook


@dataclass(frozen=True, slots=True)
class Version:
    """A version that is, was or will be active."""

    book: PriceBook
    active_from: datetime
    activated_by: str
    activated_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that nothing was priced by yet."""

    book: PriceBook
    drafted_by: str
    drafted_at: datetime


LOCK = 0x5C21B005
"""Whoever changes versions has it."""


async def lock(conn: Connection) -> None:
    """Be the only one who changes versions, until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def names(conn: Connection) -> list[tuple[str, datetime]]:
    """Name all versions, and tell from when on each is active; the first one first."""
    rows = await conn.fetch("SELECT version, active_from FROM price_book ORDER BY active_from")
    return [(row[0], row[1]) for row in rows]


async def versions(conn: Connection, names: list[str] | None = None) -> list[Version]:
    """Read versions, or all of them; the first one first."""
    rows = await conn.fetch(
        """SELECT book, active_from, activated_by, activated_at FROM price_book
            WHERE $1::text[] IS NULL OR version = ANY($1) ORDER BY active_from""",
        names,
    )
    return [Version(_book(row), *row[1:]) for row in rows]


async def version(conn: Connection, name: str) -> Version | None:
    """Read a version."""
    found = await versions(conn, [name])
    return found[0] if found else None


async def add_version(conn: Connection, version: Version) -> bool:
    """Add a version; False if there is one of this name, or one that is active from that very instant."""
    added = await conn.fetchval(
        """INSERT INTO price_book (version, book, active_from, activated_by, activated_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING RETURNING true""",
        version.book.version,
        version.book.model_dump(mode="json", exclude_none=True),
        version.active_from,
        version.activated_by,
        version.activated_at,
    )
    return bool(added)


async def drafts(conn: Connection) -> list[Draft]:
    """Read all drafts, by their names."""
    rows = await conn.fetch("SELECT book, drafted_by, drafted_at FROM price_book_draft ORDER BY version")
    return [Draft(_book(row), *row[1:]) for row in rows]


async def draft(conn: Connection, name: str) -> Draft | None:
    """Read a draft."""
    row = await conn.fetchrow("SELECT book, drafted_by, drafted_at FROM price_book_draft WHERE version = $1", name)
    return Draft(_book(row), *row[1:]) if row is not None else None


async def keep_draft(conn: Connection, draft: Draft) -> None:
    """Keep a draft; one of the same name is replaced."""
    await conn.execute(
        """INSERT INTO price_book_draft (version, book, drafted_by, drafted_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (version) DO UPDATE
              SET book = excluded.book, drafted_by = excluded.drafted_by, drafted_at = excluded.drafted_at""",
        draft.book.version,
        draft.book.model_dump(mode="json", exclude_none=True),
        draft.drafted_by,
        draft.drafted_at,
    )


async def drop_draft(conn: Connection, name: str) -> bool:
    """Forget a draft; False if there is none."""
    return bool(await conn.fetchval("DELETE FROM price_book_draft WHERE version = $1 RETURNING true", name))


def _book(row: Record) -> PriceBook:
    """Read a book by JSON's rules: credits are strings."""
    return PriceBook.model_validate_json(orjson.dumps(row["book"]))
