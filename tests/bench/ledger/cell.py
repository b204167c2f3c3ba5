"""One ledger cell on servers of its own, with accounts in it: what every part of the benchmark runs on."""

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import yaml
from rich.progress import Progress

from deploy.embedded.databases import SERVICES, ServiceDatabase, create_databases
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.keys import make_keys
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT
from deploy.embedded.settings import Settings as Servers
from libs.chassis import invariants
from libs.chassis.broker import topics
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool, open_pool, set_up
from libs.contracts.topics import ALL
from services.credits.operations.sealing import Sealer
from tests.support.databases import migrate

METER = "bench.unit"
VIDEO = yaml.safe_load((PROJECT / "deploy" / "catalogues" / "video.yaml").read_text("utf-8"))["price_book"]["meters"]
CATALOGUE = {
    "name": "bench",
    "price_book": {
        "version": "bench-1",
        "meters": {
            METER: {
                "unit": "unit",
                "properties": {"tier": {"type": "text"}, "produced": {"type": "text", "default": ""}},
                "prices": [{"when": 'tier == "standard"', "credits": "0.5"}, {"credits": "1"}],
            },
            **VIDEO,
        },
    },
}
POSTGRES = (
    "track_commit_timestamp = on",
    "shared_buffers = '1GB'",
    "max_wal_size = '8GB'",
    "checkpoint_timeout = '30min'",
)
"""Room, and no checkpoint in the middle of a run; durability is as always."""


@dataclass
class Cell:
    """Servers, the credits service's database, and the accounts that were opened in it."""

    servers: Infrastructure
    database: ServiceDatabase
    folder: Path
    accounts: list[UUID]

    async def open_accounts(self, number: int) -> None:
        """Open accounts with three lots each, as if they had been granted; the first lot is soon burnt."""
        conn = await asyncpg.connect(self.database.owner_url)
        async with conn.transaction():
            await conn.execute(_OPEN, number)
            await conn.execute(_GRANT)
        await conn.execute("VACUUM (ANALYZE) account, lot, entry")
        rows = await conn.fetch("SELECT id FROM account ORDER BY id")
        self.accounts = [row["id"] for row in rows]
        await conn.close()

    async def journal_bytes(self) -> int:
        """Tell what the journal takes on the disk, with its indexes."""
        conn = await asyncpg.connect(self.database.owner_url)
        size = await conn.fetchval(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'entry'::regclass"
        )
        await conn.close()
        return int(size)

    async def bulk_load(self, entries: int) -> None:
        """Burn a micro-credit so many times in the past, as if usage had, without the write path; sealed as ever."""
        conn = await asyncpg.connect(self.database.owner_url, command_timeout=3600)
        each = entries // len(self.accounts)
        async with conn.transaction():
            await conn.execute(_BULK, each)
            await conn.execute(_SETTLE, each)
        await conn.execute("VACUUM (ANALYZE) account, lot, entry")
        last = await conn.fetchval("SELECT max(id) FROM batch")
        await conn.close()
        pool = await open_pool(self.database.app_url, size=2, name="bench")
        with Progress() as progress:
            sealing = progress.add_task("sealing", total=entries)
            sealer = Sealer(pool, Clock(), None)
            while await self._last_sealed(pool) < last:
                progress.advance(sealing, await sealer.seal())
        await pool.close()

    async def _last_sealed(self, pool: Pool) -> int:
        async with pool.connection() as conn:
            return int(await conn.fetchval("SELECT coalesce(max(last_batch), 0) FROM block"))

    async def audit(self) -> None:
        """Check the books. Raises AssertionError with the first breach."""
        conn = await asyncpg.connect(self.database.app_url, command_timeout=3600)
        await set_up(conn)
        checks = invariants.read(PROJECT / "services" / "credits")
        breaches = [found async for found in invariants.check(conn, checks) if found.breaches]
        await conn.close()
        if breaches:
            raise AssertionError(f"{breaches[0].invariant.sentence}: {breaches[0].breaches[0]}")

    def worker(self, name: str, role: str = "worker") -> Process:
        """Make a process of the credits service, not yet started."""
        (port,) = free_ports(1)
        keys = make_keys(self.folder, SERVICES)
        environment = {
            "SCRIP_CREDITS_DATABASE_URL": self.database.app_url,
            "SCRIP_CREDITS_PORT": str(port),
            "SCRIP_KAFKA": self.servers.kafka,
            "SCRIP_CATALOGUE": str(self.folder / "catalogue.yaml"),
            "SCRIP_SERVICE_KEYS_FILE": str(keys.public),
            "SCRIP_LOG_LEVEL": "WARNING",
        }
        return Process(
            name,
            [sys.executable, "-m", "services.credits", role],
            home=self.folder,
            ready=lambda: answers(f"http://127.0.0.1:{port}/livez"),
            env=environment,
            cwd=PROJECT,
        )


@asynccontextmanager
async def cell(accounts: int) -> AsyncIterator[Cell]:
    """Start servers and open accounts; all is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="scrip-bench-"))
    try:
        async with Infrastructure(Servers(data=folder), say=lambda _: None) as servers:
            await _tune(servers)
            database = (await create_databases(servers.database_url))["credits"]
            await migrate("credits", database)
            await topics.ensure(servers.kafka, ALL, replication=1)
            (folder / "catalogue.yaml").write_text(yaml.safe_dump(CATALOGUE))
            made = Cell(servers, database, folder, [])
            await made.open_accounts(accounts)
            yield made
            await made.audit()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _tune(servers: Infrastructure) -> None:
    conn = await asyncpg.connect(servers.database_url)
    for setting in POSTGRES:
        await conn.execute(f"ALTER SYSTEM SET {setting}")
    await conn.close()
    await servers.postgres.process.restart()


_OPEN = """
INSERT INTO account (id, available, sequence, purchased, low, opened_at, changed_at)
SELECT gen_random_uuid(), 1000020000000, 3, 1000020000000, false, now(), now() FROM generate_series(1, $1::int)"""

_GRANT = """
WITH lots AS (
    INSERT INTO lot (id, account_id, kind, priority, granted, remaining, open, reference_type, reference_id, granted_at)
    SELECT gen_random_uuid(), a.id, l.kind, l.priority, l.credits, l.credits, true, 'bench', a.id::text || l.kind, now()
      FROM account AS a
     CROSS JOIN (VALUES ('promotional', 10, 10000000), ('membership', 30, 10000000), ('purchased', 50, 1000000000000))
           AS l (kind, priority, credits)
    RETURNING id, account_id, kind, granted
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY granted, kind DESC) AS sequence FROM lots
), applied AS (
    INSERT INTO batch (entries, at) SELECT count(*), now() FROM numbered RETURNING id
), journalled AS (
    INSERT INTO entry (account_id, key, lot_id, fingerprint, at, sequence, batch_id, amount, available_after,
                       held_after, debt_after, type, from_bucket, to_bucket, leg, reference_type, reference_id,
                       description)
    SELECT n.account_id, n.id, n.id, n.id, now(), n.sequence, applied.id, n.granted,
           sum(n.granted) OVER (PARTITION BY n.account_id ORDER BY n.sequence), 0, 0, 'purchase', 'stripe',
           'available', 0, 'bench', n.id::text, 'A grant'
      FROM numbered AS n, applied
)
UPDATE account AS a SET head_lot = n.id, head_remaining = n.granted
  FROM numbered AS n WHERE n.account_id = a.id AND n.kind = 'promotional'"""

_BULK = """
WITH applied AS (
    INSERT INTO batch (entries, at) SELECT (SELECT count(*) FROM account), now() FROM generate_series(1, $1::int)
    RETURNING id
),
numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM applied)
INSERT INTO entry (account_id, key, lot_id, fingerprint, at, sequence, batch_id, amount, available_after, held_after,
                   debt_after, type, from_bucket, to_bucket, leg, reference_id, price_version, details)
SELECT a.id, gen_random_uuid(), a.head_lot, a.id, now(), a.sequence + n, numbered.id, 1, a.available - n, 0, 0, 'usage',
       'available', 'revenue', 0, 'bench.unit', 'bench-1',
       '{"source":"/bench","event_id":"00000000-0000-0000-0000-000000000000","quantity":"1"}'
  FROM numbered CROSS JOIN account AS a ORDER BY numbered.id, a.id"""

_SETTLE = """
UPDATE account SET available = available - $1::int, head_remaining = head_remaining - $1::int, spent = spent + $1::int,
                   sequence = sequence + $1::int"""
