"""Invariants as code: named queries, each of which returns no row while the books are right.

A service keeps them in `sql/invariants.sql`; a line `-- name: <sentence>` begins each. A query with `$1` and `$2` looks
at what lies between two ids: it is run slice by slice, so that no step needs more memory than a slice.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from libs.chassis.migrations import statements
from libs.chassis.pool import Connection, Record

_NAME = re.compile(r"^-- name: *(.+)$", re.MULTILINE)
_SHOWN = 5

Slice = tuple[UUID, UUID]
"""A range of ids, both ends included."""
EVERYTHING: Slice = (UUID(int=0), UUID(int=(1 << 128) - 1))


@dataclass(frozen=True, slots=True)
class Invariant:
    """A sentence that must hold, and the query that would find where it does not."""

    sentence: str
    query: str

    @property
    def sliced(self) -> bool:
        """Tell whether the query looks at a slice of the ids."""
        return "$1" in self.query


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


def slices(edges: Sequence[UUID]) -> list[Slice]:
    """Cut all ids at the edges: each is the last of its slice."""
    first = [EVERYTHING[0], *(UUID(int=edge.int + 1) for edge in edges)]
    return list(zip(first, [*edges, EVERYTHING[1]], strict=True))


def steps(invariants: Sequence[Invariant], *, slices: int) -> int:
    """Tell how many queries checking them takes."""
    return sum(slices if invariant.sliced else 1 for invariant in invariants)


async def check(
    conn: Connection,
    invariants: Sequence[Invariant],
    *,
    slices: Sequence[Slice] = (EVERYTHING,),
    step: Callable[[], None] = lambda: None,
) -> AsyncIterator[Finding]:
    """Check them one after the other, all against one snapshot, so that a system at work can be checked.

    `step` is called after each query.
    """
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        for invariant in invariants:
            breaches: list[Record] = []
            for bounds in slices if invariant.sliced else [()]:
                if not breaches:
                    breaches += await _breaches(conn, invariant, bounds)
                step()
            yield Finding(invariant, breaches)


async def _breaches(conn: Connection, invariant: Invariant, bounds: tuple[UUID, ...]) -> list[Record]:
    query = f"SELECT * FROM ({invariant.query}\n) AS breach LIMIT {_SHOWN}"  # noqa: S608 - our own files
    return await conn.fetch(query, *bounds, timeout=600)
