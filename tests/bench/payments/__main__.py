"""`make bench-payments`: from Stripe's webhook to credits in the ledger, and the comparison of all books.

python -m tests.bench.payments [webhooks] [settling] [spendable] [reconciling]     (all, if none is named)

A table, and build/bench/payments.json. Everything runs as `make up` runs it: one process of each service, PostgreSQL
with fsync, Kafka, on one machine.
"""

import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop
from rich.console import Console
from rich.progress import Progress

from deploy.cli.customer import wait_for
from deploy.cli.reconcile import go_through
from deploy.embedded.stack import Stack
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from libs.contracts.http.reconciliation_v1 import Reconciliation, StepOrder
from tests.bench.chain import bare_chain_ms
from tests.bench.figures import Figures, Part
from tests.bench.payments import floor, orders
from tests.bench.payments.sender import connections, send_all, send_steadily
from tests.bench.running import Running, column, count, tune

RUNS = 3
CORES = os.cpu_count() or 1
CLIENTS = 32
BURST = 128
"""How many webhooks are under way at once, as on the first of a month."""
SECONDS = 6.0
PURCHASES = 2000
PER_SECOND = 50
STEADY_SECONDS = 20

POSTGRES = ("track_commit_timestamp = on", "max_wal_size = '8GB'", "checkpoint_timeout = '30min'")
"""So that a commit's instant can be read afterwards, and no checkpoint comes in the middle of a run."""

LOTS = "SELECT count(DISTINCT reference_id) FROM lot WHERE reference_type = 'purchase'"
UNTOLD = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


async def webhooks(figures: Figures) -> None:
    """Webhooks checked and kept by a gateway for each core, beside bare inserts, in turn; nobody consumes them."""
    kept, ratios = [], []
    async with Running() as running:
        stack = running.stack
        await tune(stack, *POSTGRES)
        for name in ("payments", "credits", "notifications", "stripe"):
            await stack.processes[name].stop()
        gateways = [stack.addresses.gateway, *[await _another_gateway(stack, number) for number in range(1, CORES)]]
        body = orjson.dumps(orders.event(orders.made_up(1)[0]))
        for _ in range(RUNS):
            bare = await floor.rows_per_second(
                stack.databases["gateway"], stack.home, body, clients=BURST, seconds=SECONDS
            )
            kept.append(await _kept_per_second(stack, gateways))
            ratios.append(kept[-1] / bare)
            await _all_told(stack, "gateway")
    figures.add("webhooks_in_per_s", statistics.median(kept), "webhooks/s")
    figures.add("webhooks_in_over_sql", statistics.median(ratios), "ratio", ">= 0.3")


async def settling(figures: Figures) -> None:
    """Purchases whose webhooks were kept while Kafka hung: from its return until all have lots and all is told."""
    rates = []
    async with Running() as running:
        await tune(running.stack, *POSTGRES)
        for _ in range(RUNS):
            rates += [await _settled_per_second(running.stack)]
    figures.add("purchases_settled_per_s", statistics.median(rates), "purchases/s", ">= 200")


async def spendable(figures: Figures) -> None:
    """From sending a webhook to the commit of its lot, at 50 webhooks a second, beside the bare chain, in turn."""
    p50s, p99s, ratios = [], [], []
    async with Running() as running:
        stack = running.stack
        await tune(stack, *POSTGRES)
        servers = stack.infrastructure
        for _ in range(RUNS):
            bare = await bare_chain_ms(servers.database_url, servers.kafka, trips=100, pause_seconds=0.02)
            placed = await orders.place(stack, PER_SECOND * STEADY_SECONDS)
            took = await _latencies(stack, placed)
            p50s.append(statistics.median(took))
            p99s.append(statistics.quantiles(took, n=100)[98])
            ratios.append(p50s[-1] / statistics.median(bare))
    figures.add("webhook_to_spendable_p50_ms", statistics.median(p50s), "ms")
    figures.add("webhook_to_spendable_p99_ms", statistics.median(p99s), "ms", "<= 250")
    figures.add("webhook_to_spendable_over_floor", statistics.median(ratios), "ratio")


async def reconciling(figures: Figures) -> None:
    """A full pass over thousands of charges at Stripe, purchases and lots, all of which agree."""
    rates = []
    async with Running() as running:
        stack = running.stack
        await tune(stack, *POSTGRES)
        placed = await orders.place(stack, PURCHASES)
        await stack.processes["stripe"].stop()
        orders.enter(stack.home / "stripe.journal", placed)
        await stack.processes["stripe"].start()
        async with connections([stack.addresses.gateway], CLIENTS) as opened:
            await send_all(opened, orders.webhooks(stack, placed))
        await _all_settled(stack, PURCHASES)
        for _ in range(RUNS):
            rates += [await _compared_per_second(stack)]
    figures.add("reconcile_per_s", statistics.median(rates), "objects/s", ">= 2000")


async def _another_gateway(stack: Stack, number: int) -> str:
    process = stack.add("gateway", "api", name=f"gateway-{number}")
    await process.start()
    return f"http://127.0.0.1:{process.env['SCRIP_GATEWAY_PORT']}"


async def _kept_per_second(stack: Stack, gateways: Sequence[str]) -> float:
    requests = orders.webhooks(stack, orders.made_up(int(SECONDS * 5000)))
    url = stack.databases["gateway"].owner_url
    before = await count(url, "SELECT count(*) FROM stripe_event")
    async with connections(gateways, BURST) as opened:
        began = time.perf_counter()
        ends = began + SECONDS
        sent = await send_all(opened, (one for one in requests if time.perf_counter() < ends))
        took = time.perf_counter() - began
    if await count(url, "SELECT count(*) FROM stripe_event") - before != sent:
        raise AssertionError("a webhook was answered and is not kept")
    return sent / took


async def _settled_per_second(stack: Stack) -> float:
    before = await count(stack.databases["credits"].owner_url, LOTS)
    placed = await orders.place(stack, PURCHASES)
    broker = stack.infrastructure.broker.process
    broker.pause()
    try:
        async with connections([stack.addresses.gateway], CLIENTS) as opened:
            await send_all(opened, orders.webhooks(stack, placed))
    finally:
        broker.resume()
    began = time.perf_counter()
    await _all_settled(stack, before + PURCHASES)
    return PURCHASES / (time.perf_counter() - began)


async def _all_settled(stack: Stack, lots: int) -> None:
    async def look() -> bool:
        return await count(stack.databases["credits"].owner_url, LOTS) >= lots

    await wait_for(look, seconds=90)
    for service in ("gateway", "payments", "credits"):
        await _all_told(stack, service)


async def _all_told(stack: Stack, service: str) -> None:
    async def look() -> bool:
        return await count(stack.databases[service].owner_url, UNTOLD) == 0

    await wait_for(look, seconds=90)


async def _latencies(stack: Stack, placed: list[orders.Order]) -> list[float]:
    requests = dict(zip([one.name for one in placed], orders.webhooks(stack, placed), strict=True))
    async with connections([stack.addresses.gateway], 10) as opened:
        sent = await send_steadily(opened, requests, per_second=PER_SECOND)

    async def look() -> list[float] | None:
        granted = await column(
            stack.databases["credits"].owner_url,
            """SELECT reference_id AS name, max(pg_xact_commit_timestamp(xmin)) AS at FROM lot
                WHERE reference_id = ANY($1) GROUP BY reference_id""",
            list(sent),
        )
        return [(at - sent[name]) * 1000 for name, at in granted.items()] if len(granted) == len(sent) else None

    return await wait_for(look, seconds=60)


async def _compared_per_second(stack: Stack) -> float:
    key = Path(stack.environment("gateway")["SCRIP_GATEWAY_SERVICE_KEY_FILE"])
    client = ServiceClient("payments", base_url=stack.addresses.payments, signer=signer("gateway", key))
    try:
        began = time.perf_counter()
        ended = await go_through(client, StepOrder(begin=True), by="bench", progress=Progress(disable=True))
        took = time.perf_counter() - began
        found = await client.get("/reconciliation", Reconciliation)
    finally:
        await client.stop()
    if not ended or found.findings or found.repaired:
        raise AssertionError(f"the books differ: {found}")
    return sum(walk.compared for walk in found.walks if walk.scope == "full") / took


PARTS: dict[str, Part] = {
    "webhooks": webhooks,
    "settling": settling,
    "spendable": spendable,
    "reconciling": reconciling,
}


async def main() -> None:
    """Run the parts that are named, or all."""
    await Figures("payments", Console(highlight=False)).measure(PARTS, sys.argv[1:] or PARTS)


if __name__ == "__main__":
    uvloop.run(main())
