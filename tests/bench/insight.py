"""What the price book and the sums of usage cost the ledger, and how soon a large account is summed up."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import httpx2

from deploy.embedded.databases import SERVICES
from deploy.embedded.keys import make_keys
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, open_pool
from libs.chassis.tokens import signer
from libs.contracts import ids
from services.credits.operations import insight
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.sealing import Sealer
from tests.bench.figures import Figures
from tests.bench.ledger import single
from tests.bench.ledger import usage as usages
from tests.bench.ledger.cell import Cell, cell

RUNS = 3
ACCOUNTS = 10_000
EVENTS = 200_000
A_LARGE_ACCOUNTS = 1_000_000
QUESTIONS = 200
_BY = ("day", "meter", "actor", "property:resolution", "property:custom_music")


async def measure(figures: Figures) -> None:
    """Measure usage by the simple price and by the video book, in turn; then ask for a large account's sums."""
    async with cell(ACCOUNTS) as made:
        runs = [await _in_turn(made) for _ in range(RUNS)]
        figures.add("usage_priced_per_s", statistics.median(priced for _, priced in runs), "events/s")
        ratios = [priced / simple for simple, priced in runs]
        figures.add("usage_priced_over_simple", statistics.median(ratios), "ratio", ">= 0.85")
        await _load(made, made.accounts[0])
        figures.add("sum_up_per_s", await _sum_up(made), "entries/s")
        async with single.api(made) as port:
            took = sorted(await _ask(made, port, made.accounts[0]))
        figures.add("summary_p50_ms", took[len(took) // 2], "ms")
        figures.add("summary_p99_ms", took[len(took) * 99 // 100], "ms", "<= 20")


async def _in_turn(made: Cell) -> tuple[float, float]:
    simple = await usages.burn(made, usages.uniform(made.accounts, EVENTS))
    priced = await usages.burn(made, usages.uniform(made.accounts, EVENTS), used=usages.video)
    return simple.per_second, priced.per_second


async def _load(made: Cell, account: UUID) -> None:
    """Burn a micro-credit a million times over ninety days, without the write path, in batches as it writes them."""
    conn = await asyncpg.connect(made.database.owner_url, command_timeout=3600)
    await conn.execute(_LOAD, account, A_LARGE_ACCOUNTS)
    await conn.execute(
        """UPDATE account SET available = available - $2::int, head_remaining = head_remaining - $2::int,
                              spent = spent + $2::int, sequence = sequence + $2::int WHERE id = $1""",
        account,
        A_LARGE_ACCOUNTS,
    )
    await conn.execute("VACUUM (ANALYZE) account, entry")
    await conn.close()


_LOAD = """
WITH applied AS (
    INSERT INTO batch (entries, at) SELECT 2000, now() FROM generate_series(1, $2::int / 2000) RETURNING id
),
numbered AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM applied)
INSERT INTO entry (account_id, key, lot_id, fingerprint, at, sequence, batch_id, amount, available_after, held_after,
                   debt_after, type, from_bucket, to_bucket, leg, reference_id, price_version, details)
SELECT a.id, gen_random_uuid(), a.head_lot, a.id, now(), a.sequence + s.number, numbered.id, 1,
       a.available - s.number, 0, 0, 'usage', 'available', 'revenue', 0, 'video.generation', 'bench-1',
       json_build_object(
           'source', '/bench', 'event_id', s.number, 'quantity', '1',
           'time', extract(epoch FROM now())::bigint - s.number * 7, 'actor', 'key:key_' || s.number % 20,
           'properties', json_build_object('resolution', (ARRAY['720p', '1080p'])[s.number % 2 + 1],
                                           'custom_music', s.number % 3 = 0)
       )
  FROM account AS a CROSS JOIN numbered
 CROSS JOIN LATERAL (SELECT numbered.n * 2000 + i AS number FROM generate_series(1, 2000) AS i) AS s
 WHERE a.id = $1 ORDER BY s.number"""


async def _sum_up(made: Cell) -> float:
    """Seal what was loaded, then sum it; tells how many entries are summed in a second."""
    pool = await open_pool(made.database.app_url, size=2, name="bench")
    clock = Clock()
    prices, sealer = ActivePrices(pool, clock), Sealer(pool, clock, None)
    async with pool.connection() as conn:
        last = await conn.fetchval("SELECT max(id) FROM batch")
        while not await conn.fetchval("SELECT max(last_batch) >= $1 FROM block", last):
            await sealer.seal()
        before = await conn.fetchval(
            "SELECT coalesce(sum(entries), 0) FROM block WHERE number <= $1", await _summed(conn)
        )
        began = time.perf_counter()
        while await insight.sum_up(pool, clock, prices):
            pass
        seconds = time.perf_counter() - began
        after = await conn.fetchval("SELECT sum(entries) FROM block")
    await pool.close()
    return float(after - before) / seconds


async def _summed(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT block FROM usage_summed"))


async def _ask(made: Cell, port: int, account: UUID) -> list[float]:
    """Ask for sums over the API, one question after the other; answers how many milliseconds each took."""
    token = signer("gateway", make_keys(made.folder, SERVICES).private("gateway")).token("credits")
    path, today = f"/internal/v1/accounts/{ids.show('account', account)}/usage", datetime.now(UTC).date()
    took = []
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as http:
        for number in range(QUESTIONS):
            params = {"from": str(today - timedelta(days=90)), "to": str(today), "by": _BY[number % len(_BY)]}
            began = time.perf_counter()
            answer = await http.get(path, params=params)
            took.append((time.perf_counter() - began) * 1000)
            if answer.json()["usages"] < A_LARGE_ACCOUNTS:
                raise RuntimeError(f"the sums lack something: {answer.text[:500]}")
    return took
