from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from deploy.embedded.databases import SERVICES, ServiceDatabase, create_databases
from deploy.embedded.infrastructure import Infrastructure


@pytest.fixture(scope="module")
async def databases(local: Infrastructure) -> dict[str, ServiceDatabase]:
    return await create_databases(local.database_url)


async def run(url: str, *statements: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def test_a_service_can_do_nothing_in_a_table_until_a_migration_grants_it(
    databases: dict[str, ServiceDatabase],
) -> None:
    credits = databases["credits"]
    await run(credits.owner_url, "CREATE TABLE lot (id int GENERATED ALWAYS AS IDENTITY, left_over int)")
    for statement in ("SELECT FROM lot", "INSERT INTO lot DEFAULT VALUES", "UPDATE lot SET left_over = 6"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(credits.app_url, statement)


async def test_a_service_can_do_in_a_table_what_is_granted_and_no_more(databases: dict[str, ServiceDatabase]) -> None:
    credits = databases["credits"]
    table = "CREATE TABLE entry (id int GENERATED ALWAYS AS IDENTITY, amount int)"
    await run(credits.owner_url, table, "GRANT SELECT, INSERT ON entry TO scrip_credits")
    assert await run(credits.app_url, "INSERT INTO entry (amount) VALUES (7)", "SELECT amount FROM entry") == 7
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(credits.app_url, "DELETE FROM entry")


@pytest.mark.parametrize("statement", ["CREATE TABLE mine (id int)", "ALTER TABLE theirs ADD x int", "TRUNCATE theirs"])
async def test_a_service_cannot_change_its_schema(databases: dict[str, ServiceDatabase], statement: str) -> None:
    await run(databases["payments"].owner_url, "CREATE TABLE IF NOT EXISTS theirs (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(databases["payments"].app_url, statement)


async def test_no_service_enters_the_database_of_another(databases: dict[str, ServiceDatabase]) -> None:
    for url in (databases["gateway"].app_url, databases["gateway"].owner_url):
        elsewhere = urlunsplit(urlsplit(url)._replace(path="/scrip_credits"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await run(elsewhere, "SELECT 1")


async def test_making_them_again_changes_nothing(local: Infrastructure, databases: dict[str, ServiceDatabase]) -> None:
    grant = "GRANT SELECT ON message TO scrip_notifications"
    await run(databases["notifications"].owner_url, "CREATE TABLE message (id int)", grant)
    assert await create_databases(local.database_url) == databases
    assert tuple(databases) == SERVICES
    assert await run(databases["notifications"].app_url, "SELECT count(*) FROM message") == 0


async def test_who_may_make_roles_and_databases_need_not_be_superuser(local: Infrastructure) -> None:
    """As on a managed server; on ours the roles exist already, so they go first."""
    databases = await create_databases(local.database_url)
    for service in databases:
        owned = f"scrip_{service}"
        await run(local.database_url, f"DROP DATABASE {owned} WITH (FORCE)", f"DROP ROLE {owned}, {owned}_owner")
    await run(local.database_url, "CREATE ROLE steward LOGIN CREATEROLE CREATEDB PASSWORD 'stewardship'")
    host = urlsplit(local.database_url).netloc.rpartition("@")[2]
    made = await create_databases(f"postgresql://steward:stewardship@{host}/postgres")
    assert await run(made["credits"].app_url, "SELECT current_user") == "scrip_credits"
    await create_databases(local.database_url)
