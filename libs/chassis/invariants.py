"""Invariants as code: named queries, each of which returns no row while the books are right.

A service keeps them in `sql/invariants.sql`; a line `-- name: <sentence>` begins each.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.chassis.migrations import statements
from libs.chassis.pool import Connection, Record

_NAME = re.compile(r"^-- name: *(.+)$", re.MULTILINE)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Invariant:
    """A sentence that must hold, and the query that would find where it does not."""

    sentence: str
    query: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What checking an invariant brought: the first rows that break it, none if it holds."""

    invariant: Invariant
    breaches: Sequence[Record]


def read(folder: Path) -> list[Invariant]:
    """Read a service's invariants; `folder` is the service's own."""
    file = folder / "sql" / "invariants.sql"
    _, *parts = _NAME.split(file.read_text())
    return [
        Invariant(sentence.strip(), next(statements(text)))
        for sentence, text in zip(parts[::2], parts[1::2], strict=True)
    ]


async def check(conn: Connection, invariants: Sequence[Invariant]) -> AsyncIterator[Finding]:
    """Check them one after the other, all against one snapshot, so that a system at work can be checked."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        for invariant in invariants:
            query = f"SELECT * FROM ({invariant.query}\n) AS breach LIMIT {_SHOWN}"  # noqa: S608 - our own files
            yield Finding(invariant, await conn.fetch(query, timeout=600))
