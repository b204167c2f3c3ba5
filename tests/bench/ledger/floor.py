"""The floor for batches: a thousand rows a statement into a table like the journal, and their accounts' balances.

Nothing is decided, deduplicated or told: the key is a constraint, and all values are ready in memory.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

BATCH = 1000

_TABLES = """
DROP TABLE IF EXISTS bench_floor, bench_floor_balance;
CREATE TABLE bench_floor (LIKE entry INCLUDING DEFAULTS, PRIMARY KEY (account_id, key, leg));
CREATE TABLE bench_floor_balance (account_id uuid PRIMARY KEY, available bigint NOT NULL) WITH (fillfactor = 60);
INSERT INTO bench_floor_balance SELECT id, available FROM account;
ANALYZE bench_floor_balance"""

_STATEMENT = """
WITH journalled AS (
    INSERT INTO bench_floor (account_id, key, lot_id, fingerprint, sequence, amount, available_after, held_after,
                             debt_after, type, from_bucket, to_bucket, leg, reference_id, price_version, details, at,
                             batch_id)
    SELECT e.account_id, e.key, e.lot_id, e.fingerprint, e.sequence, e.amount, e.available_after, e.held_after,
           e.debt_after, e.type, e.from_bucket, e.to_bucket, e.leg, e.reference_id, e.price_version, e.details::json,
           $17, $18
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::bigint[], $9::bigint[], $10::posting_type[], $11::bucket[], $12::bucket[], $13::smallint[],
                  $14::text[], $15::text[], $16::text[])
           AS e (account_id, key, lot_id, fingerprint, sequence, amount, available_after, held_after, debt_after, type,
                 from_bucket, to_bucket, leg, reference_id, price_version, details)
)
UPDATE bench_floor_balance AS b SET available = b.available - spent.amount
  FROM unnest($19::uuid[], $20::bigint[]) AS spent (account_id, amount) WHERE b.account_id = spent.account_id"""

_DETAILS = json.dumps({"source": "/bench", "event_id": str(UUID(int=0)), "quantity": "1", "properties": {"tier": "x"}})


async def prepare(url: str) -> None:
    """Make the floor's tables, with a balance for every account."""
    conn = await asyncpg.connect(url)
    await conn.execute(_TABLES)
    await conn.close()


async def side_by_side(url: str, shares: Sequence[Sequence[UUID]], *, seconds: float) -> float:
    """Insert on as many connections as there are shares of the accounts; answers rows a second, of all together."""
    with ProcessPoolExecutor(len(shares)) as processes:
        loop = asyncio.get_running_loop()
        rates = [loop.run_in_executor(processes, _rows_per_second, url, list(share), seconds) for share in shares]
        return sum(await asyncio.gather(*rates))


async def bulk_load(url: str) -> None:
    """Copy the journal's rows, so that the floor is as large."""
    conn = await asyncpg.connect(url, command_timeout=3600)
    columns = ", ".join(row["attname"] for row in await conn.fetch(_COLUMNS))
    await conn.execute(f"INSERT INTO bench_floor ({columns}) SELECT {columns} FROM entry")
    await conn.execute("VACUUM (ANALYZE) bench_floor")
    await conn.close()


_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'bench_floor'::regclass AND attnum > 0"


def _rows_per_second(url: str, accounts: Sequence[UUID], seconds: float) -> float:
    return asyncio.run(rows_per_second(url, accounts, seconds=seconds))


async def rows_per_second(url: str, accounts: Sequence[UUID], *, seconds: float) -> float:
    """Insert for so long on one connection; answers rows a second."""
    conn = await asyncpg.connect(url)
    statement = await conn.prepare(_STATEMENT)
    batches = [_batch(accounts) for _ in range(30)]
    keys = [[uuid4() for _ in range(BATCH)] for _ in range(int(seconds * 400))]
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < seconds and done < len(keys):
        first, rest, spent = batches[done % len(batches)]
        await statement.fetch(first, keys[done], *rest, datetime.now(UTC), done, *spent)
        done += 1
    await conn.close()
    return done * BATCH / took


def _batch(accounts: Sequence[UUID]) -> tuple[list[UUID], list[list[object]], tuple[list[UUID], list[int]]]:
    chosen = random.choices(accounts, k=BATCH)
    sums: dict[UUID, int] = {}
    for account in chosen:
        sums[account] = sums.get(account, 0) + 500_000
    numbers: list[object] = list(range(10**9, 10**9 + BATCH))
    columns: list[list[object]] = [
        list(chosen),
        list(chosen),
        numbers,
        [500_000] * BATCH,
        numbers,
        [0] * BATCH,
        [0] * BATCH,
        ["usage"] * BATCH,
        ["available"] * BATCH,
        ["revenue"] * BATCH,
        [0] * BATCH,
        ["bench.unit"] * BATCH,
        ["bench-1"] * BATCH,
        [_DETAILS] * BATCH,
    ]
    return chosen, columns, (list(sums), list(sums.values()))
