"""The journal's months: made ahead, indexed, and closed to the service's role but through the journal."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import pytest

from tests.support.databases import ServicePool, migrate
from tests.support.ledger import Credits, used

INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass AND indisvalid"


@dataclass
class Months:
    """A journal's partitions, as its owner sees them."""

    service_pool: ServicePool
    owner: "asyncpg.Connection[asyncpg.Record]"

    async def names(self) -> list[str]:
        """Name them, in order."""
        rows = await self.owner.fetch("SELECT relid::text AS name FROM pg_partition_tree('entry') WHERE isleaf")
        return sorted(row["name"] for row in rows)

    async def migrate(self) -> None:
        """Run `migrate` again."""
        await migrate("credits", self.service_pool.urls("credits"))


@pytest.fixture
async def months(service_pool: ServicePool) -> AsyncIterator[Months]:
    database = await service_pool.database("credits")
    owner = await asyncpg.connect(database.owner_url)
    yield Months(service_pool, owner)
    await owner.close()


def month(now: datetime, ahead: int) -> str:
    years, month0 = divmod(now.month - 1 + ahead, 12)
    return f"entry_{now.year + years}_{month0 + 1:02}"


async def test_there_is_a_month_for_each_of_the_year_ahead(months: Months) -> None:
    now = await months.owner.fetchval("SELECT now()")
    assert await months.names() == [*(month(now, ahead) for ahead in range(13)), "entry_otherwise"]


async def test_every_migration_makes_what_is_missing_from_the_last_month_on(months: Months) -> None:
    everything = await months.names()
    for name in everything[3:-1]:
        await months.owner.execute(f"DROP TABLE {name}")
    await months.migrate()
    assert await months.names() == everything


async def test_a_new_month_has_every_index_of_the_journal(months: Months) -> None:
    last = (await months.names())[-2]
    await months.owner.execute(f"DROP TABLE {last}")
    await months.migrate()
    assert await months.owner.fetchval(INDEXES, last) == await months.owner.fetchval(INDEXES, "entry") == 5


async def test_a_month_of_which_rows_lie_in_the_default_partition_stays_there(months: Months, credits: Credits) -> None:
    everything = await months.names()
    for name in everything[:-1]:
        await months.owner.execute(f"DROP TABLE {name}")
    account = await credits.open()
    await months.migrate()
    assert await months.names() == everything[1:]
    assert await credits.use(used(account)) == ["burnt"]
    assert await months.owner.fetchval("SELECT count(*) FROM entry_otherwise") == 2


async def test_entries_of_any_time_find_a_place(months: Months, credits: Credits) -> None:
    await credits.use(used(await credits.open()))
    now = await months.owner.fetchval("SELECT now()")
    assert await months.owner.fetchval(f"SELECT count(*) FROM {month(now, 0)}") == 2
    assert await months.owner.fetchval("SELECT count(*) FROM entry_otherwise") == 0


@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET amount = 0", "DELETE FROM {}", "TRUNCATE {}", "INSERT INTO {} DEFAULT VALUES", "DROP TABLE {}"],
)
async def test_the_services_role_cannot_touch_a_month_directly(
    months: Months, credits: Credits, statement: str
) -> None:
    async with credits.pool.connection() as conn:
        for name in ("entry", *await months.names()):
            if name != "entry" or not statement.startswith("INSERT"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement.format(name))
