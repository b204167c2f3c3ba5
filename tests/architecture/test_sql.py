"""Every SQL statement of a service: where it stands, what it says, that the database would take it from that role."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from deploy.embedded.databases import SERVICES, ServiceDatabase
from libs.chassis import invariants
from tests.architecture.sources import ROOT, Source, sources

ASKING = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor", "prepare"}
WHAT_TIME_IS_IT = re.compile(
    r"\b(now\s*\(|current_(timestamp|date|time)\b|local(time|timestamp)\b|(clock|statement|transaction)_timestamp\s*\()",
    re.IGNORECASE,
)
NOT_PLANNED = ("NOTIFY ",)
OF_THE_OWNER = "libs/chassis/migrations.py"
FROM_FILES = {"libs/chassis/invariants.py": "each service's invariants.sql, which is looked at by itself"}


@dataclass(frozen=True)
class Statement:
    """A statement and where it stands."""

    where: str
    text: str


def calls(source: Source) -> Iterator[ast.Call]:
    """Find where a source asks the database."""
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ASKING
            and ast.unparse(node.func.value).rpartition(".")[2] in ("conn", "connection", "pool", "_pool")
            and node.args
        ):
            yield node


def statements(source: Source) -> Iterator[Statement]:
    """Read a source's statements; one that is put together from constants of its module is put together here too."""
    for call in calls(source):
        where = f"{source.name}:{call.lineno}"
        written = compile(ast.Expression(call.args[0]), where, "eval")
        yield Statement(where, eval(written, vars(source.module())))


def statements_of(service: str) -> list[Statement]:
    found = [statement for source in sources(f"services/{service}") for statement in statements(source)]
    checks = invariants.read(ROOT / "services" / service)
    return found + [Statement(f"services/{service}/sql/invariants.sql: {i.sentence}", i.query) for i in checks]


async def refusals(url: str, found: list[Statement]) -> list[str]:
    """Have each statement planned, and the role's rights checked, as if it were run; say which cannot be."""
    conn = await asyncpg.connect(url)
    refused = []
    for statement in found:
        try:
            await conn.execute(f"EXPLAIN (GENERIC_PLAN) {statement.text}")
        except asyncpg.PostgresError as error:
            refused.append(f"{statement.where}: {error}")
    await conn.close()
    return refused


@pytest.mark.parametrize("service", SERVICES)
async def test_every_statement_of_a_service_is_one_that_its_database_takes_from_its_role(
    templates: dict[str, ServiceDatabase], service: str
) -> None:
    found = statements_of(service)
    assert len(found) > 10
    assert await refusals(templates[service].app_url, found) == []


async def test_every_statement_of_the_chassis_is_one_that_every_database_takes(
    templates: dict[str, ServiceDatabase],
) -> None:
    chassis = [source for source in sources("libs/chassis") if source.name not in {OF_THE_OWNER, *FROM_FILES}]
    found = [statement for source in chassis for statement in statements(source)]
    assert len(found) > 15
    planned = [statement for statement in found if not statement.text.startswith(NOT_PLANNED)]
    for service in SERVICES:
        assert await refusals(templates[service].app_url, planned) == []


async def test_the_check_sees_a_wrong_column_and_a_right_that_is_not_granted(
    templates: dict[str, ServiceDatabase],
) -> None:
    wrong = [
        Statement("column", "SELECT colour FROM account WHERE id = $1"),
        Statement("type", "SELECT FROM account WHERE id = $1::int"),
        Statement("right", "DELETE FROM entry WHERE account_id = $1"),
        Statement("lock", "SELECT FROM entry WHERE account_id = $1 FOR UPDATE"),
    ]
    refused = await refusals(templates["credits"].app_url, wrong)
    assert [line.split(":")[0] for line in refused] == ["column", "type", "right", "lock"]


def test_sql_stands_in_stores_alone() -> None:
    elsewhere = {source.name for source in sources("services") if any(calls(source))}
    assert {name for name in elsewhere if "/store" not in name} == set()


def test_every_sql_file_is_used() -> None:
    used = {statement.text for service in SERVICES for statement in statements_of(service)}
    files = [file for file in ROOT.glob("services/*/sql/*.sql") if file.name != "invariants.sql"]
    assert [str(file) for file in files if file.read_text() not in used] == []


def test_no_business_sql_asks_the_database_for_the_time() -> None:
    """It comes from the clock, so that tests and replays can move it."""
    asking = [s.where for service in SERVICES for s in statements_of(service) if WHAT_TIME_IS_IT.search(s.text)]
    files = [*ROOT.glob("services/*/sql/*.sql"), *ROOT.glob("services/*/migrations/*.sql")]
    assert len(files) > 8
    asking += [str(file) for file in files if WHAT_TIME_IS_IT.search(without_comments(file.read_text()))]
    assert asking == []


def without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql)


@pytest.mark.parametrize("sql", ["SELECT now()", "DEFAULT NOW ()", "x < CURRENT_TIMESTAMP", "clock_timestamp()"])
def test_the_lint_knows_the_ways_to_ask_for_the_time(sql: str) -> None:
    assert WHAT_TIME_IS_IT.search(sql)
    assert not WHAT_TIME_IS_IT.search("SELECT known, current_timestamp_of_ours FROM unknown")
