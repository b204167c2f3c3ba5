"""A database and two roles for each service: the owner, who migrates it, and the service, who works in it.

The service's role may do in the tables what their migrations grant it by name, and no more (to a journal one only
adds): it cannot change tables, make any, or enter another service's database.
"""

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

SERVICES = ("gateway", "payments", "credits", "notifications")


@dataclass(frozen=True)
class ServiceDatabase:
    """One service's database, as the service and as its owner."""

    app_url: str
    owner_url: str


async def create_databases(server_url: str) -> dict[str, ServiceDatabase]:
    """Make each service's database and roles where they are missing; return their addresses by service.

    `server_url` is of one who may create roles and databases. The roles' passwords derive from its password, so that
    nobody has to keep them: repeating it changes nothing, or their passwords after a change of that one.
    """
    secret = unquote(urlsplit(server_url).password or "")
    databases = {service: _addresses(server_url, service, secret) for service in SERVICES}
    server = await asyncpg.connect(server_url)
    try:
        for service in SERVICES:
            await _make_roles(server, service, secret)
            await _make_database(server, service)
            await restrict(server, f"scrip_{service}", service)
    finally:
        await server.close()
    for service, database in databases.items():
        await _let_work(database.owner_url, service)
    return databases


async def restrict(server: asyncpg.Connection, database: str, service: str) -> None:
    """Let nobody but a service and its owner connect to a database; a copy of one does not bring this with it."""
    await server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await server.execute(f"GRANT CONNECT ON DATABASE {database} TO scrip_{service}")


async def _make_roles(server: asyncpg.Connection, service: str, secret: str) -> None:
    for role in (f"scrip_{service}_owner", f"scrip_{service}"):
        with suppress(asyncpg.DuplicateObjectError):
            await server.execute(f"CREATE ROLE {role}")
        await server.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{_password(role, secret)}'")
    # Else only a superuser may make a database that is the owner's.
    await server.execute(f"GRANT scrip_{service}_owner TO CURRENT_USER")


async def _make_database(server: asyncpg.Connection, service: str) -> None:
    with suppress(asyncpg.DuplicateDatabaseError):
        await server.execute(f"CREATE DATABASE scrip_{service} OWNER scrip_{service}_owner")


async def _let_work(owner_url: str, service: str) -> None:
    """Let the service see its schema, and make nothing there; what it may do in a table, the table's migration says."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await owner.execute(f"GRANT USAGE ON SCHEMA public TO scrip_{service}")
    finally:
        await owner.close()


def _addresses(server_url: str, service: str, secret: str) -> ServiceDatabase:
    role = f"scrip_{service}"
    return ServiceDatabase(
        app_url=_address(server_url, role, secret, database=role),
        owner_url=_address(server_url, f"{role}_owner", secret, database=role),
    )


def _address(server_url: str, role: str, secret: str, *, database: str) -> str:
    server = urlsplit(server_url)
    host = server.netloc.rpartition("@")[2]
    return urlunsplit(server._replace(netloc=f"{role}:{_password(role, secret)}@{host}", path=f"/{database}"))


def _password(role: str, secret: str) -> str:
    return hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest()[:48]
