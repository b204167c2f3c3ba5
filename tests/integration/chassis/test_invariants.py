from pathlib import Path
from uuid import UUID

import pytest

from libs.chassis import invariants
from libs.chassis.pool import Pool
from tests.integration.chassis.database import Database

SERVICES = Path(__file__).parents[3] / "services"
QUERIES = """-- What must hold.

-- name: no number is negative
SELECT key, number FROM effect -- a comment; with a semicolon
 WHERE number < 0;

-- name: every key is a word; whatever happens
SELECT key FROM effect WHERE key !~ '^[a-z;]+$' ORDER BY key  -- last words
"""


@pytest.fixture
def queries(tmp_path: Path) -> list[invariants.Invariant]:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "invariants.sql").write_text(QUERIES)
    return invariants.read(tmp_path)


async def findings(pool: Pool, queries: list[invariants.Invariant]) -> dict[str, list[tuple[object, ...]]]:
    async with pool.connection() as conn:
        return {
            finding.invariant.sentence: [tuple(row) for row in finding.breaches]
            async for finding in invariants.check(conn, queries)
        }


async def test_each_query_has_the_sentence_above_it(queries: list[invariants.Invariant]) -> None:
    assert [query.sentence for query in queries] == ["no number is negative", "every key is a word; whatever happens"]


async def test_what_holds_finds_no_row_and_what_does_not_shows_the_first(
    database: Database, queries: list[invariants.Invariant]
) -> None:
    assert await findings(database.pool, queries) == {query.sentence: [] for query in queries}
    await database.admin.execute(
        "INSERT INTO effect (key, number) SELECT 'NO ' || n, n - 8 FROM generate_series(1, 9) n"
    )
    found = await findings(database.pool, queries)
    assert found["every key is a word; whatever happens"] == [(f"NO {number}",) for number in range(1, 6)]
    assert len(found["no number is negative"]) == 5


async def test_all_are_checked_against_one_moment(database: Database, queries: list[invariants.Invariant]) -> None:
    """Else a system at work would seem broken between two queries."""
    async with database.pool.connection() as conn:
        checking = invariants.check(conn, queries)
        assert (await anext(checking)).breaches == []
        await database.admin.execute("INSERT INTO effect (key, number) VALUES ('NO', 1)")
        assert [finding.breaches async for finding in checking] == [[]]
    assert (await findings(database.pool, queries))["every key is a word; whatever happens"] == [("NO",)]


async def test_what_is_cut_into_slices_is_looked_at_slice_by_slice_until_something_is_found(database: Database) -> None:
    edges = [UUID(int=1 << 120), UUID(int=2 << 120)]
    cut = invariants.slices(edges)
    assert [first.int for first, _ in cut] == [0, edges[0].int + 1, edges[1].int + 1]
    assert [last for _, last in cut] == [*edges, invariants.EVERYTHING[1]]
    query = invariants.Invariant("sliced", f"SELECT $1::uuid AS first WHERE $1 <> $2::uuid AND $1 > '{edges[0]}'")
    steps: list[None] = []
    async with database.pool.connection() as conn:
        found = [f async for f in invariants.check(conn, [query], slices=cut, step=lambda: steps.append(None))]
    assert [list(row) for row in found[0].breaches] == [[cut[1][0]]]
    assert len(steps) == invariants.steps([query], slices=3) == 3


@pytest.mark.parametrize("service", sorted(path.parents[1].name for path in SERVICES.glob("*/sql/invariants.sql")))
def test_every_services_invariants_are_sentences_of_their_own(service: str) -> None:
    sentences = [query.sentence for query in invariants.read(SERVICES / service)]
    assert sentences
    assert len(set(sentences)) == len(sentences)
