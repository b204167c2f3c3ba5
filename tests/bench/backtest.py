"""How fast recorded usage is rated anew: a million entries of the video catalogue, on a database of its own."""

import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import asyncpg
import yaml

from deploy.cli.backtest import connected
from deploy.embedded.databases import ServiceDatabase, create_databases
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.settings import PROJECT, Settings
from libs.contracts.catalogue import Catalogue
from libs.contracts.price_book import PriceBook
from services.credits.domain import backtests
from services.credits.domain.backtests import Summary
from services.credits.domain.pricing import Prices
from services.credits.operations.backtests import Asked, backtest
from tests.bench.figures import Figures
from tests.support.databases import migrate

ENTRIES = 1_000_000
ACCOUNTS = 10_000
RUNS = 3
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


async def measure(figures: Figures) -> None:
    """Measure with the book by which all was charged, with one that has tiers, and as if no usage were like another."""
    async with loaded() as database:
        figures.add("backtest_per_s", await _median(database, book()), "usages/s", ">= 30000")
        figures.add("backtest_tiers_per_s", await _median(database, tiered()), "usages/s", ">= 30000")
        with mock.patch.object(backtests, "MOST_REMEMBERED", 0):
            figures.add("backtest_unlike_per_s", await _median(database, book()), "usages/s", ">= 30000")


def book() -> PriceBook:
    """Read the example catalogue's book."""
    text = (PROJECT / "deploy" / "catalogues" / "video.yaml").read_text("utf-8")
    return Catalogue.of(yaml.safe_load(text)).price_book


def tiered() -> PriceBook:
    """Give the book an allowance, and tiers where there was one price: each usage depends on those before."""
    said = book().model_dump(mode="json", exclude_none=True)
    meter = said["meters"]["video.generation"]
    steps = [{"upto": "100", "credits": "5"}, {"upto": "1000", "credits": "4"}, {"credits": "3"}]
    meter |= {"allowance": "10", "prices": [{"tiers": {"mode": "graduated", "steps": steps}}]}
    return PriceBook.model_validate(said)


async def _median(database: ServiceDatabase, book: PriceBook) -> float:
    return statistics.median([await _per_second(database, Prices(book)) for _ in range(RUNS)])


async def _per_second(database: ServiceDatabase, prices: Prices) -> float:
    began = time.perf_counter()
    async with connected(database.app_url) as conn:
        summary = await backtest(conn, prices, Asked(since=SINCE), done=lambda _: None)
    seconds = time.perf_counter() - began
    _check(summary)
    return ENTRIES / seconds


def _check(summary: Summary) -> None:
    if (summary.total.usages, summary.accounts, summary.total.refused) != (ENTRIES, ACCOUNTS, 0):
        raise AssertionError(f"not all of it was rated: {summary.total}")


@asynccontextmanager
async def loaded() -> AsyncIterator[ServiceDatabase]:
    """Start a database with usage in its journal, as if it had been burnt in two months; all is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="scrip-bench-"))
    try:
        async with Infrastructure(Settings(data=folder), say=lambda _: None) as servers:
            database = (await create_databases(servers.database_url))["credits"]
            await migrate("credits", database)
            conn = await asyncpg.connect(database.owner_url)
            await conn.execute(_LOAD, ENTRIES // ACCOUNTS, ACCOUNTS, SINCE)
            await conn.execute("VACUUM (ANALYZE) entry")
            await conn.close()
            yield database
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_LOAD = """
INSERT INTO entry (account_id, key, lot_id, fingerprint, at, sequence, batch_id, amount, available_after, held_after,
                   debt_after, type, from_bucket, to_bucket, leg, reference_id, price_version, details)
SELECT md5(account::text)::uuid, gen_random_uuid(), md5(account::text)::uuid, gen_random_uuid(),
       $3::timestamptz + (number * interval '30 minutes'), number, number, 5000000 * quantity, 0, 0, 0, 'usage',
       'available', 'revenue', 0, 'video.generation', 'video-2026-11', json_build_object(
           'source', '/renderer', 'event_id', gen_random_uuid(), 'quantity', quantity::text, 'properties',
           json_build_object('resolution', CASE WHEN account % 3 = 0 THEN '1080p' ELSE '720p' END,
                             'custom_music', number % 4 = 0),
           'time', extract(epoch FROM $3::timestamptz)::bigint + number * 1800)
  FROM generate_series(1, $1::int) AS number
 CROSS JOIN LATERAL (SELECT account, 1 + (account * number) % 20 AS quantity
                       FROM generate_series(1, $2::int) AS account) AS usages"""
