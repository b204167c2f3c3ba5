"""A database with the chassis' own tables and one of ours, in which handlers leave their effects."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from deploy.embedded.databases import ServiceDatabase
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool, open_pool
from tests.integration.chassis.waiting import until_found

EFFECT = """
CREATE TABLE effect (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    number int NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON effect TO scrip_notifications;
"""


@dataclass
class Database:
    """A pool as the service, an administrator's to look and to disturb, and a clock."""

    pool: Pool
    url: str
    admin: "asyncpg.Pool[asyncpg.Record]"
    clock: Clock

    @classmethod
    async def open(cls, addresses: ServiceDatabase, *, admin_url: str) -> "Database":
        """Connect to a database and make the table of effects."""
        owner = await asyncpg.connect(addresses.owner_url)
        await owner.execute(EFFECT)
        await owner.close()
        pool = await open_pool(addresses.app_url, size=10, name="test")
        admin = await asyncpg.create_pool(admin_url, min_size=1, max_size=3)
        return cls(pool, addresses.app_url, admin, Clock())

    async def close(self) -> None:
        """Close the connections."""
        await self.pool.close()
        await self.admin.close()

    async def effects(self, key: str | None = None) -> list[int]:
        """List the numbers that handlers left, in the order of their transactions' ids."""
        rows = await self.admin.fetch("SELECT number FROM effect WHERE key = coalesce($1, key) ORDER BY id", key)
        return [row["number"] for row in rows]

    async def value(self, query: str, *arguments: Any) -> Any:
        """Ask for one value."""
        return await self.admin.fetchval(query, *arguments)

    async def unpublished(self) -> int:
        """Count the outbox rows that wait."""
        return int(await self.value("SELECT count(*) FROM outbox WHERE published_at IS NULL"))

    async def until_waiting_for_a_lock(self, number: int) -> None:
        """Wait until this many connections wait for others."""

        async def waiting() -> bool:
            found = await self.value(
                """SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
            return int(found) >= number

        await until_found(waiting)

    async def cut(self, application: str) -> int:
        """Have the server end the connections of an application, and wait until they are gone; returns how many."""
        rows = await self.admin.fetch(
            """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE application_name = $1 AND datname = current_database()""",
            application,
        )
        return len(rows)

    def now(self) -> datetime:
        """Tell the time."""
        return self.clock.now()
