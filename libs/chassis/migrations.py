"""Migrations: numbered SQL files, forward only, each applied once and remembered with its checksum.

What is due again and again, such as next year's partitions, stands in `always/`: run at the end of every migration.

Statements are sent one by one (a distributed PostgreSQL refuses several in a string), in one transaction a file.
Two runners at once are safe: the lock is polled outside any transaction, so that the waiter holds no snapshot.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from libs.chassis.pool import Connection

_LOCK = 0x5C21B001
_APP_ROLE = re.compile(r"\bapp_role\b")
_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<remark>/\*)
      | (?<!\w)[eE]'(?:[^'\\]|''|\\.)*'
      | '(?:[^']|'')*'
      | "[^"]*"
      | (?<![\w$])\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
      | (?P<end>;)
      | \w+ | .""",
    re.DOTALL | re.VERBOSE,
)
_REMARK_EDGE = re.compile(r"/\*|\*/")
PLUMBING = Path(__file__).parent / "migrations"
"""The chassis' own tables (outbox, inbox, idempotency keys, dead letters), in every service's database."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: the folder's name for itself, the number and name of the file, its text; whether it is run always."""

    set: str
    name: str
    text: str
    always: bool = False

    @property
    def checksum(self) -> str:
        """Tell the text by a short hash."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class ChangedMigrationError(Exception):
    """A migration that was applied has another text now; add a new one instead."""


def read(set_name: str, folder: Path) -> list[Migration]:
    """Read a folder's migrations in the order of their numbers, then those that are run each time."""
    once = [Migration(set_name, file.stem, file.read_text()) for file in sorted(folder.glob("*.sql"))]
    again = [Migration(set_name, f.stem, f.read_text(), always=True) for f in sorted((folder / "always").glob("*.sql"))]
    return once + again


def statements(text: str) -> Iterator[str]:
    """Split SQL at the semicolons that end statements: not those in strings, names or dollar quotes. Comments go.

    A function's body is a string or in dollar quotes: `BEGIN ATOMIC` is not understood.
    """
    statement, at = "", 0
    while token := _TOKEN.match(text, at):
        at = _end_of_remark(text, token.end()) if token["remark"] else token.end()
        if token["comment"] or token["remark"]:
            statement += " "
        elif not token["end"]:
            statement += token[0]
        elif statement.strip():
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()


def _end_of_remark(text: str, at: int) -> int:
    """Find where a block comment ends; in SQL they nest."""
    depth = 1
    for edge in _REMARK_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


async def migrate(url: str, *, migrations: list[Migration], app_role: str) -> list[str]:
    """Bring a database up to date as its owner; `app_role` in a file is the service's role. Returns what is new.

    Raises ChangedMigrationError if a file that was applied has changed since.
    """
    conn = await asyncpg.connect(url, server_settings={"lock_timeout": "5s", "application_name": "scrip-migrate"})
    try:
        while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - nobody to tell us
            await asyncio.sleep(0.1)
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration (set text, name text, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (set, name))"
        )
        await conn.execute(f'GRANT SELECT ON schema_migration TO "{app_role}"')
        return [m.name for m in migrations if await _apply(conn, m, app_role)]
    finally:
        await conn.close()


async def _apply(conn: "asyncpg.Connection[asyncpg.Record]", migration: Migration, app_role: str) -> bool:
    """Apply a migration that is due; tells whether it is new."""
    if migration.always:
        async with conn.transaction():
            await _run(conn, migration, app_role)
        return False
    known = await conn.fetchval(
        "SELECT checksum FROM schema_migration WHERE set = $1 AND name = $2", migration.set, migration.name
    )
    if known == migration.checksum:
        return False
    if known is not None:
        raise ChangedMigrationError(f"{migration.set}/{migration.name} was applied with another text")
    async with conn.transaction():
        await _run(conn, migration, app_role)
        await conn.execute(
            "INSERT INTO schema_migration (set, name, checksum) VALUES ($1, $2, $3)",
            migration.set,
            migration.name,
            migration.checksum,
        )
    return True


async def _run(conn: "asyncpg.Connection[asyncpg.Record]", migration: Migration, app_role: str) -> None:
    for statement in statements(_APP_ROLE.sub(f'"{app_role}"', migration.text)):
        await conn.execute(statement)


async def pending(conn: Connection, migrations: list[Migration]) -> list[str]:
    """Name the migrations that a database still lacks (readiness asks this)."""
    applied = {(row["set"], row["name"]) for row in await conn.fetch("SELECT set, name FROM schema_migration")}
    return [m.name for m in migrations if not m.always and (m.set, m.name) not in applied]
