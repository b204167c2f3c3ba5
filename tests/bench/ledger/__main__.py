"""`make bench-ledger`: how fast the ledger is, beside its floors; a table, and build/bench/ledger.json.

python -m tests.bench.ledger [usage] [skewed] [lag] [single] [accounts] [entries]   (the first four, if none is named)
"""

import asyncio
import statistics
import sys
from collections.abc import Sequence

import uvloop
from rich.console import Console

from tests.bench.figures import Figures, Part
from tests.bench.ledger import floor, single
from tests.bench.ledger import usage as usages
from tests.bench.ledger.cell import Cell, cell

RUNS = 3
ACCOUNTS = 10_000
EVENTS = 400_000
FLOOR_SECONDS = 3.0
LOAD_SECONDS = 6
CONNECTIONS = 64


async def usage(figures: Figures) -> None:
    """Usage from a prefilled topic, one worker and two, beside the floor on as many connections."""
    async with cell(ACCOUNTS) as made:
        size = await made.journal_bytes()
        ones = [await _beside_floor(figures, made, workers=1) for _ in range(RUNS)]
        entries = RUNS * EVENTS
        figures.add("entry_bytes", (await made.journal_bytes() - size) / entries, "bytes")
        twos = [await _beside_floor(figures, made, workers=2) for _ in range(RUNS)]
    _report(figures, "usage", ones, goal=">= 0.25")
    figures.add("floor_per_s", statistics.median(under for under, _ in ones), "rows/s")
    figures.add("usage_cpu_us", statistics.median(burnt.cpu_us for _, burnt in ones), "us")
    figures.add("worker_rss_growth_mb", max(burnt.grown_mb for _, burnt in ones), "MB", "<= 20")
    ratios = [burnt.per_second / under for under, burnt in twos]
    figures.add("usage_2_workers_per_s", statistics.median(burnt.per_second for _, burnt in twos), "events/s")
    figures.add("usage_2_workers_over_floor2", statistics.median(ratios), "ratio", ">= 0.22")


async def skewed(figures: Figures) -> None:
    """One account, and a few that are busier than others, beside all alike."""
    async with cell(ACCOUNTS) as made:
        hots, zipfs = [], []
        for _ in range(RUNS):
            uniform = await usages.burn(made, usages.uniform(made.accounts, EVENTS // 2))
            hot = await usages.burn(made, [made.accounts[0]] * (EVENTS // 2))
            zipf = await usages.burn(made, usages.zipf(made.accounts, EVENTS // 2))
            _say(
                figures,
                f"uniform {uniform.per_second:,.0f}/s, hot {hot.per_second:,.0f}/s, zipf {zipf.per_second:,.0f}/s",
            )
            hots.append(hot.per_second / uniform.per_second)
            zipfs.append(zipf.per_second / uniform.per_second)
    figures.add("usage_hot_over_uniform", statistics.median(hots), "ratio", ">= 0.9")
    figures.add("usage_zipf_over_uniform", statistics.median(zipfs), "ratio", ">= 0.9")


async def lag(figures: Figures) -> None:
    """From produced to committed, at half of what one worker can do."""
    async with cell(ACCOUNTS) as made:
        full = await usages.burn(made, usages.uniform(made.accounts, EVENTS))
        runs = [await usages.lag_ms(made, per_second=int(full.per_second / 2), seconds=15) for _ in range(RUNS)]
    figures.add("lag_p50_ms_half_rate", statistics.median(statistics.median(run) for run in runs), "ms")
    p99s = [statistics.quantiles(run, n=100)[98] for run in runs]
    figures.add("lag_p99_ms_half_rate", statistics.median(p99s), "ms", "<= 50")


async def single_requests(figures: Figures) -> None:
    """Charges, holds and batches of charges over HTTP, beside plain SQL transactions and the floor."""
    async with cell(ACCOUNTS) as made, single.api(made) as port:
        runs = [await _single_run(figures, made, port) for _ in range(RUNS)]

    def median(name: str) -> float:
        return statistics.median(run[name] for run in runs)

    for name in ("sql_per_s", "sql_hot_per_s", "charge_http_per_s", "charge_http_hot_per_s", "charge_batch_per_s"):
        figures.add(name, median(name), "1/s")
    figures.add("charge_http_over_sql", median("charge_http_over_sql"), "ratio", ">= 0.3")
    figures.add("charge_http_hot_over_uniform", median("charge_http_hot_over_uniform"), "ratio", ">= 0.9")
    figures.add("charge_http_hot_over_sql_hot", median("charge_http_hot_over_sql_hot"), "ratio", ">= 2")
    figures.add("charge_http_p99_over_p50", median("charge_http_p99_over_p50"), "ratio", "<= 4")
    figures.add("charge_idle_ms", median("charge_idle_ms"), "ms", "<= 6")
    figures.add("charge_idle_over_sql", median("charge_idle_over_sql"), "ratio", "<= 6")
    figures.add("hold_capture_over_sql", median("hold_capture_over_sql"), "ratio", ">= 0.12")
    figures.add("charge_batch_over_floor", median("charge_batch_over_floor"), "ratio", ">= 0.1")
    async with cell(ACCOUNTS) as made, single.api(made) as port:
        mixed = [await _mixed_run(made, port) for _ in range(RUNS)]
    figures.add("charge_http_mixed_p99_ms", statistics.median(mixed), "ms", "<= 150")


async def accounts(figures: Figures) -> None:
    """A million accounts, and as many for the floor."""
    async with cell(1_000_000) as made:
        ones = [await _beside_floor(figures, made, workers=1) for _ in range(RUNS)]
    ratios = [burnt.per_second / under for under, burnt in ones]
    figures.add("usage_1m_over_floor_1m", statistics.median(ratios), "ratio", ">= 0.2")


async def entries(figures: Figures) -> None:
    """Twenty million entries, and as many for the floor. Takes half an hour."""
    async with cell(ACCOUNTS) as made:
        await made.bulk_load(20_000_000)
        await floor.prepare(made.database.owner_url)
        await floor.bulk_load(made.database.owner_url)
        ones = [await _beside_floor(figures, made, workers=1, fresh_floor=False) for _ in range(RUNS)]
    ratios = [burnt.per_second / under for under, burnt in ones]
    figures.add("usage_20m_over_floor_20m", statistics.median(ratios), "ratio", ">= 0.2")


async def _beside_floor(
    figures: Figures, made: Cell, *, workers: int, fresh_floor: bool = True
) -> tuple[float, usages.Burnt]:
    """Measure the floor, then usage; the floor on as many connections, each with accounts of its own."""
    url = made.database.owner_url
    if fresh_floor:
        await floor.prepare(url)
    shares = [made.accounts[number::workers] for number in range(workers)]
    under = await floor.side_by_side(url, shares, seconds=FLOOR_SECONDS)
    burnt = await usages.burn(made, usages.uniform(made.accounts, EVENTS), workers=workers)
    _say(figures, f"floor {under:,.0f}/s, {workers} worker(s) {burnt.per_second:,.0f}/s, {burnt.cpu_us:.1f} us each")
    return under, burnt


async def _single_run(figures: Figures, made: Cell, port: int) -> dict[str, float]:
    """Measure everything once, floors and requests in turn."""
    all_of_them, one = made.accounts, made.accounts[:1]

    async def ask(mode: single.Mode, accounts: Sequence[object], connections: int = CONNECTIONS) -> single.Asked:
        return await single.load(made, port, mode, accounts=accounts, connections=connections, seconds=LOAD_SECONDS)  # type: ignore[arg-type]

    sql = await single.sql(made, accounts=ACCOUNTS, clients=CONNECTIONS, seconds=LOAD_SECONDS)
    charge = await ask("charge", all_of_them)
    sql_hot = await single.sql(made, accounts=1, clients=CONNECTIONS, seconds=LOAD_SECONDS)
    hot = await ask("charge", one)
    sql_idle = await single.sql(made, accounts=ACCOUNTS, clients=1, seconds=LOAD_SECONDS)
    idle = await ask("charge", all_of_them, 1)
    hold = await ask("hold", all_of_them)
    await floor.prepare(made.database.owner_url)
    under = await floor.side_by_side(made.database.owner_url, [all_of_them], seconds=FLOOR_SECONDS)
    batch = await ask("batch", all_of_them, 8)
    _say(figures, f"sql {sql.per_second:,.0f}/s, charges {charge.per_second:,.0f}/s, holds {hold.per_second:,.0f}/s")
    return {
        "sql_per_s": sql.per_second,
        "sql_hot_per_s": sql_hot.per_second,
        "charge_http_per_s": charge.per_second,
        "charge_http_hot_per_s": hot.per_second,
        "charge_batch_per_s": batch.per_second * 100,
        "charge_http_over_sql": charge.per_second / sql.per_second,
        "charge_http_hot_over_uniform": hot.per_second / charge.per_second,
        "charge_http_hot_over_sql_hot": hot.per_second / sql_hot.per_second,
        "charge_http_p99_over_p50": charge.p99_ms / charge.p50_ms,
        "charge_idle_ms": idle.p50_ms,
        "charge_idle_over_sql": idle.p50_ms / sql_idle.p50_ms,
        "hold_capture_over_sql": hold.per_second / sql.per_second,
        "charge_batch_over_floor": batch.per_second * 100 / under,
    }


async def _mixed_run(made: Cell, port: int) -> float:
    """Charge while a worker applies usage at half its rate to the same accounts; answers p99 in milliseconds."""
    full = await usages.burn(made, usages.uniform(made.accounts, EVENTS // 2))
    usage = asyncio.create_task(usages.lag_ms(made, per_second=int(full.per_second / 2), seconds=LOAD_SECONDS + 4))
    await asyncio.sleep(3)  # until it is under way
    charge = await single.load(
        made, port, "charge", accounts=made.accounts, connections=CONNECTIONS, seconds=LOAD_SECONDS
    )
    await usage
    return charge.p99_ms


def _report(figures: Figures, name: str, runs: Sequence[tuple[float, usages.Burnt]], *, goal: str) -> None:
    figures.add(f"{name}_per_s", statistics.median(burnt.per_second for _, burnt in runs), "events/s")
    figures.add(
        f"{name}_over_floor", statistics.median(burnt.per_second / under for under, burnt in runs), "ratio", goal
    )


def _say(figures: Figures, words: str) -> None:
    figures.console.print(f"  {words}")


PARTS: dict[str, Part] = {
    "usage": usage,
    "skewed": skewed,
    "lag": lag,
    "single": single_requests,
}
LARGE: dict[str, Part] = {"accounts": accounts, "entries": entries}


async def main() -> None:
    """Run the parts that are named, or all but the large ones."""
    await Figures("ledger", Console(highlight=False)).measure(PARTS | LARGE, sys.argv[1:] or PARTS)


if __name__ == "__main__":
    uvloop.run(main())
