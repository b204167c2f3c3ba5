"""A fresh database for each test: a copy of the service's migrated one, which takes some tens of milliseconds."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from deploy.embedded.databases import SERVICES, ServiceDatabase, create_databases, restrict
from libs.chassis import migrations
from libs.chassis.pool import Pool, open_pool

ROOT = Path(__file__).parents[2]


async def make_templates(server_url: str) -> dict[str, ServiceDatabase]:
    """Make every service's database, migrated; the tests' databases are copies of these."""
    databases = await create_databases(server_url)
    for service in SERVICES:
        await migrate(service, databases[service])
    return databases


async def migrate(service: str, database: ServiceDatabase) -> list[str]:
    """Bring a service's database up to date, as `python -m services.<name> migrate` does."""
    folder = ROOT / "services" / service / "migrations"
    schema = migrations.read("chassis", migrations.PLUMBING) + migrations.read(service, folder)
    app_role = urlsplit(database.app_url).username or ""
    return await migrations.migrate(database.owner_url, migrations=schema, app_role=app_role)


def _renamed(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


class ServicePool:
    """Makes fresh databases of services and pools on them, and drops them all in the end."""

    def __init__(self, server: asyncpg.Connection, templates: dict[str, ServiceDatabase]) -> None:
        self._server = server
        self._templates = templates
        self._made: dict[str, ServiceDatabase] = {}
        self._pools: list[Pool] = []
        self._names: list[str] = []

    async def __call__(self, service: str, *, size: int = 10) -> Pool:
        """Open a pool on the test's own database of a service, as the service's role."""
        await self.database(service)
        pool = await open_pool(self.urls(service).app_url, size=size, name=f"test-{service}")
        self._pools.append(pool)
        return pool

    async def database(self, service: str) -> ServiceDatabase:
        """Make the test's own database of a service, once."""
        if service not in self._made:
            name = f"test_{service}_{uuid4().hex[:12]}"
            template = urlsplit(self._templates[service].app_url).path.lstrip("/")
            how = f"TEMPLATE {template} STRATEGY file_copy OWNER scrip_{service}_owner"  # by way of the WAL is slower
            await self._server.execute(f"CREATE DATABASE {name} {how}")
            await restrict(self._server, name, service)
            self._names.append(name)
            found = self._templates[service]
            self._made[service] = ServiceDatabase(_renamed(found.app_url, name), _renamed(found.owner_url, name))
        return self._made[service]

    def urls(self, service: str) -> ServiceDatabase:
        """Tell the addresses of the test's own database of a service."""
        return self._made[service]

    async def drop(self) -> None:
        """Close the pools and drop the databases."""
        for pool in self._pools:
            await pool.close()
        for name in self._names:
            await self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")
