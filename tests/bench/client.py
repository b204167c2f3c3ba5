"""The usage client: one process, many reporters at once, from `usage` to acknowledged by a real Kafka.

With a spool each event is on disk before `usage` returns, and sent from there; `client_usage_per_s` is that.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.settings import Settings
from libs.chassis.broker.topics import ensure
from libs.contracts.client import UsageClient
from libs.contracts.ids import new_id
from libs.contracts.topics import USAGE_EVENTS
from tests.bench.figures import Figures

RUNS = 5
REPORTERS = 500
EACH_REPORTS = 120
ACCOUNTS = 1000
PROPERTIES = {"resolution": "720p"}


async def measure(figures: Figures) -> None:
    """Measure in turn, with and without a spool, on one broker; spool and broker are on the same disk."""
    accounts = [new_id() for _ in range(ACCOUNTS)]
    runs: dict[bool, list[float]] = {True: [], False: []}
    with TemporaryDirectory(prefix="scrip-bench-") as folder:
        async with Infrastructure(Settings(data=Path(folder) / "servers"), say=lambda _: None) as servers:
            await ensure(servers.kafka, [USAGE_EVENTS], replication=1)
            for number in range(RUNS):
                for spooled, found in runs.items():
                    spool = Path(folder) / f"spool-{number}" if spooled else None
                    found.append(await _events_a_second(servers.kafka, accounts, spool))
    figures.add("client_usage_per_s", statistics.median(runs[True]), "events/s", ">= 20000")
    figures.add("client_usage_without_spool_per_s", statistics.median(runs[False]), "events/s")


async def _events_a_second(kafka: str, accounts: Sequence[UUID], spool: Path | None) -> float:
    async with UsageClient.kafka(kafka, source="/bench", spool=spool) as client:
        await client.usage(accounts[0], "video.generation", 3, PROPERTIES)  # connects
        await client.flush()

        async def report(reporter: int) -> None:
            for number in range(EACH_REPORTS):
                account = accounts[(reporter + number * REPORTERS) % len(accounts)]
                await client.usage(account, "video.generation", 3, PROPERTIES)

        began = time.perf_counter()
        await asyncio.gather(*(report(reporter) for reporter in range(REPORTERS)))
        await client.flush()
        return REPORTERS * EACH_REPORTS / (time.perf_counter() - began)
