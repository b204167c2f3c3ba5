import os
import sys
from asyncio import create_subprocess_exec, gather, subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from deploy.embedded.databases import SERVICES, ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.migrations import ChangedMigrationError, Migration, migrate, pending, read

ROOT = Path(__file__).parents[3]
APP_ROLE = "scrip_credits"
MAKE = Migration("test", "0001_make", "CREATE TABLE thing (id int); GRANT SELECT, INSERT ON thing TO app_role")
FILL = Migration("test", "0002_fill", "INSERT INTO thing VALUES (1)")


@dataclass
class Empty:
    """A database with nothing in it, and a connection to it as its owner."""

    url: str
    conn: "asyncpg.Connection[asyncpg.Record]"

    async def migrate(self, *files: Migration) -> list[str]:
        return await migrate(self.url, migrations=list(files), app_role=APP_ROLE)

    async def tables(self) -> set[str]:
        rows = await self.conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}


@pytest.fixture(scope="module")
async def empty_url(infrastructure: Infrastructure, templates: object) -> AsyncIterator[str]:
    name = f"test_empty_{uuid4().hex[:12]}"
    server = await asyncpg.connect(infrastructure.database_url)
    await server.execute(f"CREATE DATABASE {name}")
    yield at(infrastructure.database_url, name)
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Empty]:
    conn = await asyncpg.connect(empty_url)
    yield Empty(empty_url, conn)
    await conn.execute(
        "RESET ROLE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
    )
    await conn.close()


def at(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


async def test_each_file_is_applied_once_in_the_order_given(empty: Empty) -> None:
    assert await empty.migrate(MAKE) == ["0001_make"]
    assert await empty.migrate(MAKE, FILL) == ["0002_fill"]
    assert await empty.migrate(MAKE, FILL) == []
    assert await empty.conn.fetchval("SELECT count(*) FROM thing") == 1


async def test_what_is_always_run_is_run_again_and_is_never_pending(empty: Empty) -> None:
    again = Migration("test", "again", "INSERT INTO thing VALUES (7)", always=True)
    assert await empty.migrate(MAKE, again) == ["0001_make"]
    assert await empty.migrate(MAKE, again) == []
    assert await empty.conn.fetchval("SELECT array_agg(id) FROM thing") == [7, 7]
    assert await pending(empty.conn, [MAKE, again]) == []


async def test_a_folder_has_its_files_in_order_and_those_that_are_always_run_last(tmp_path: Path) -> None:
    (tmp_path / "always").mkdir()
    for name in ("0002_two.sql", "0001_one.sql", "always/anew.sql"):
        (tmp_path / name).write_text("SELECT 1")
    found = [(file.name, file.always) for file in read("test", tmp_path)]
    assert found == [("0001_one", False), ("0002_two", False), ("anew", True)]


async def test_two_runners_at_once_apply_each_file_once(empty: Empty) -> None:
    slow = Migration("test", "0003_slow", "SELECT pg_sleep(0.2); INSERT INTO thing VALUES (2)")
    applied = await gather(*(empty.migrate(MAKE, FILL, slow) for _ in range(3)))
    assert sorted(len(names) for names in applied) == [0, 0, 3]
    assert await empty.conn.fetchval("SELECT array_agg(id ORDER BY id) FROM thing") == [1, 2]


async def test_a_file_that_changed_since_is_refused_and_nothing_after_it_is_applied(empty: Empty) -> None:
    await empty.migrate(MAKE)
    changed = Migration(MAKE.set, MAKE.name, MAKE.text + " -- better")
    with pytest.raises(ChangedMigrationError, match="test/0001_make"):
        await empty.migrate(changed, FILL)
    assert await empty.conn.fetchval("SELECT count(*) FROM thing") == 0


async def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(empty: Empty) -> None:
    broken = Migration("test", "0002_broken", "CREATE TABLE other (id int); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(asyncpg.UndefinedTableError):
        await empty.migrate(MAKE, broken)
    assert await empty.tables() == {"thing", "schema_migration"}
    assert await pending(empty.conn, [MAKE, broken]) == ["0002_broken"]
    mended = Migration(broken.set, broken.name, "CREATE TABLE other (id int)")
    assert await empty.migrate(MAKE, mended) == ["0002_broken"]


async def test_a_file_that_waits_for_a_lock_of_others_gives_up_and_can_be_run_again(empty: Empty) -> None:
    await empty.migrate(MAKE)
    alter = Migration("test", "0002_alter", "SET LOCAL lock_timeout = '50ms'; ALTER TABLE thing ADD x int")
    async with empty.conn.transaction():
        await empty.conn.execute("SELECT FROM thing")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await empty.migrate(MAKE, alter)
    assert await empty.migrate(MAKE, alter) == ["0002_alter"]


async def test_files_of_two_sets_may_have_the_same_name(empty: Empty) -> None:
    twin = Migration("other", MAKE.name, "CREATE TABLE twin (id int)")
    assert await empty.migrate(MAKE, twin) == ["0001_make", "0001_make"]


async def test_a_database_that_lacks_a_file_is_behind_and_one_with_more_is_not(empty: Empty) -> None:
    await empty.migrate(MAKE, FILL)
    assert await pending(empty.conn, [MAKE]) == []
    assert await pending(empty.conn, [MAKE, Migration("test", "0003", "SELECT 1")]) == ["0003"]


async def test_the_services_role_may_do_what_the_file_grants_it(empty: Empty) -> None:
    await empty.migrate(MAKE)
    await empty.conn.execute(f"SET ROLE {APP_ROLE}")
    await empty.conn.execute("INSERT INTO thing VALUES (1)")
    assert await pending(empty.conn, [MAKE]) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await empty.conn.execute("DELETE FROM thing")


def settings(service: str, database: ServiceDatabase) -> dict[str, str]:
    name = service.upper()
    return {
        f"SCRIP_{name}_DATABASE_URL": database.app_url,
        f"SCRIP_{name}_OWNER_DATABASE_URL": database.owner_url,
        **{f"SCRIP_GATEWAY_{key}_KEY_FILE": "not-needed-to-migrate.json" for key in ("SERVICE", "ACCESS")},
        **{f"SCRIP_{other.upper()}_URL": "http://127.0.0.1:1" for other in SERVICES},
        "SCRIP_CATALOGUE": "not-needed-to-migrate.yaml",
        "SCRIP_SMTP_URL": "smtp://127.0.0.1:1",
        "STRIPE_SECRET_KEY": "sk_test_none",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_none",
        "STRIPE_WEBHOOK_SECRET": "whsec_none",
    }


async def run_migrate(service: str, database: ServiceDatabase) -> str:
    process = await create_subprocess_exec(
        *(sys.executable, "-m", f"services.{service}", "migrate"),
        cwd=ROOT,
        env=os.environ | settings(service, database),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_every_service_migrates_an_empty_database_as_its_owner_by_its_own_command(
    infrastructure: Infrastructure, templates: dict[str, ServiceDatabase]
) -> None:
    made = f"test_fresh_{uuid4().hex[:12]}"
    server = await asyncpg.connect(infrastructure.database_url)
    fresh = {}
    for service, template in templates.items():
        name = f"{made}_{service}"
        await server.execute(f"CREATE DATABASE {name} OWNER scrip_{service}_owner")
        fresh[service] = ServiceDatabase(at(template.app_url, name), at(template.owner_url, name))
    try:
        said = await gather(*(run_migrate(service, database) for service, database in fresh.items()))
        assert all("0001_plumbing" in lines for lines in said)
        for service in SERVICES:
            granted = await columns(fresh[service].app_url)
            assert granted
            assert granted == await columns(templates[service].app_url)
    finally:
        for service in fresh:
            await server.execute(f"DROP DATABASE {made}_{service} WITH (FORCE)")
        await server.close()


async def columns(url: str) -> list[tuple[str, ...]]:
    """List what a role sees, with what it may do there."""
    async with connected(url) as conn:
        rows = await conn.fetch(
            """SELECT table_name, column_name, string_agg(privilege_type, ',' ORDER BY privilege_type)
                 FROM information_schema.column_privileges WHERE table_schema = 'public' AND grantee = current_user
                GROUP BY 1, 2 ORDER BY 1, 2"""
        )
    return [tuple(row) for row in rows]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    conn = await asyncpg.connect(url)
    yield conn
    await conn.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_services_role_cannot_change_its_schema(templates: dict[str, ServiceDatabase], service: str) -> None:
    async with connected(templates[service].app_url) as conn:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in (row["tablename"] for row in tables):
            for statement in (f"ALTER TABLE {table} ADD x int", f"DROP TABLE {table}", f"TRUNCATE {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("CREATE TABLE mine (id int)")


ONLY_ADDED_TO = [
    ("credits", "batch"),
    ("credits", "block"),
    ("credits", "entry"),
    ("credits", "rejected_usage"),
    ("credits", "state_change"),
    ("gateway", "stripe_event"),
    ("payments", "failed_attempt"),
    ("payments", "quarantine"),
]


LAST_COLUMN = """SELECT column_name FROM information_schema.columns
                  WHERE table_name = $1 ORDER BY ordinal_position DESC LIMIT 1"""


@pytest.mark.parametrize(("service", "table"), ONLY_ADDED_TO)
async def test_a_services_role_can_neither_change_nor_delete_what_is_only_added_to(
    templates: dict[str, ServiceDatabase], service: str, table: str
) -> None:
    async with connected(templates[service].app_url) as conn:
        column = await conn.fetchval(LAST_COLUMN, table)
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
        await conn.fetch(f"SELECT FROM {table}")
