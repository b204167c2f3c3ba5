"""`make bench-platform`: how long the first line a user tries takes, and how soon a payment can be spent.

python -m tests.bench.platform [demo] [stack] [webhook] [suite]     (all, if none is named)
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil
from rich.console import Console

from deploy.cli.customer import Customer, wait_for
from deploy.embedded.databases import SERVICES
from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import Stack
from tests.bench.chain import bare_chain_ms
from tests.bench.figures import Figures, Part
from tests.bench.running import Running, column, tune

RUNS = 5
PURCHASES = 400
PER_SECOND = 20


def timed_command(command: list[str], folder: Path) -> float:
    """Run a command to its end; answers its seconds. Raises CalledProcessError."""
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


async def demo(figures: Figures) -> None:
    """From a clean clone, and again in it; package caches are warm."""
    first, again = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="scrip-bench-") as folder:
            clone = Path(folder) / "scrip"
            began = time.monotonic()
            timed_command(["git", "clone", "--quiet", str(PROJECT), str(clone)], Path(folder))
            timed_command(["make", "demo"], clone)
            first.append(time.monotonic() - began)
            again.append(timed_command(["make", "demo"], clone))
    figures.add("demo_s", statistics.median(first), "s", "<= 120")
    figures.add("demo_again_s", statistics.median(again), "s", "<= 30")


async def stack(figures: Figures) -> None:
    """A whole stack on an empty data folder: servers, migrations, topics, services; then its services' memory."""
    starts, memory = [], []
    for _ in range(RUNS):
        async with Running() as running:
            starts.append(running.start_seconds)
            await asyncio.sleep(5)
            memory.append(sum(_rss_mb(running.stack.processes[name].pid) for name in SERVICES))
    figures.add("stack_start_s", statistics.median(starts), "s", "<= 15")
    figures.add("idle_rss_mb", statistics.median(memory), "MB", "<= 450")


async def webhook(figures: Figures) -> None:
    """Webhook received to grant committed, at 20 purchases a second, beside the bare chain on the same servers."""
    p50s, p99s, floors = [], [], []
    for _ in range(RUNS):
        async with Running() as running:
            servers = running.stack.infrastructure
            floor = await bare_chain_ms(servers.database_url, servers.kafka, trips=200, pause_seconds=0.02)
            took = await _purchases(running.stack)
            p50s.append(statistics.median(took))
            p99s.append(statistics.quantiles(took, n=100)[98])
            floors.append(statistics.median(floor))
    figures.add("webhook_to_spendable_p50_ms", statistics.median(p50s), "ms", "<= 50")
    figures.add("webhook_to_spendable_p99_ms", statistics.median(p99s), "ms", "<= 250")
    figures.add("webhook_floor_p50_ms", statistics.median(floors), "ms")
    ratios = [p50 / floor for p50, floor in zip(p50s, floors, strict=True)]
    figures.add("webhook_to_spendable_over_floor", statistics.median(ratios), "ratio", "<= 3")


async def suite(figures: Figures) -> None:
    """The whole test suite, once: it is long, and its spread is small beside its goal."""
    figures.add("suite_s", timed_command(["make", "test"], PROJECT), "s", "<= 600")


async def _purchases(stack: Stack) -> list[float]:
    """Pay for many purchases at a steady rate; answers the milliseconds from each webhook to its grant's commit."""
    await tune(stack, "track_commit_timestamp = on")
    addresses = stack.addresses
    async with httpx2.AsyncClient(base_url=addresses.gateway, timeout=30) as http:
        customers = [
            await Customer.sign_up(http, email=f"bench-{i}@example.com", name="Bench", stripe=addresses.stripe or "")
            for i in range(20)
        ]
        purchases = [(customers[i % 20], await customers[i % 20].buy("starter")) for i in range(PURCHASES)]
        loop = asyncio.get_running_loop()
        began, paying = loop.time(), []
        for number, (customer, purchase) in enumerate(purchases):
            await asyncio.sleep(max(0, began + number / PER_SECOND - loop.time()))
            paying.append(asyncio.create_task(customer.pay(purchase)))
        await asyncio.gather(*paying)
    return await wait_for(lambda: _latencies(stack), seconds=60)


async def _latencies(stack: Stack) -> list[float] | None:
    """Read every grant's commit and its webhook's arrival; None while some are missing."""
    received = await column(
        stack.databases["gateway"].owner_url,
        """SELECT convert_from(body, 'UTF8')::jsonb -> 'data' -> 'object' -> 'metadata' ->> 'purchase' AS name,
                  received_at AS at
             FROM stripe_event WHERE type = 'payment_intent.succeeded'""",
    )
    granted = await column(
        stack.databases["credits"].owner_url,
        "SELECT reference_id AS name, pg_xact_commit_timestamp(xmin) AS at FROM lot WHERE reference_type = 'purchase'",
    )
    if len(granted) < PURCHASES:
        return None
    return [(granted[name] - received[name]) * 1000 for name in received]


def _rss_mb(pid: int) -> float:
    process = psutil.Process(pid)
    return float(sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])) / 1e6


PARTS: dict[str, Part] = {
    "stack": stack,
    "webhook": webhook,
    "demo": demo,
    "suite": suite,
}


async def main() -> None:
    """Run the parts that are named, or all."""
    await Figures("platform", Console(highlight=False)).measure(PARTS, sys.argv[1:] or PARTS)


if __name__ == "__main__":
    asyncio.run(main())
