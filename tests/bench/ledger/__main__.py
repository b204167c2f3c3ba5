"""`make bench-ledger`: how fast the ledger is, beside its floors; a table, and build/bench/ledger.json.

python -m tests.bench.ledger [usage] [...]     (all, if none is named)
"""

import statistics
import sys
from collections.abc import Awaitable, Callable

import uvloop
from rich.console import Console

from tests.bench.figures import Figures
from tests.bench.ledger import floor
from tests.bench.ledger import usage as usages
from tests.bench.ledger.cell import cell

RUNS = 3
ACCOUNTS = 10_000
EVENTS = 200_000
FLOOR_SECONDS = 3.0


async def usage(figures: Figures) -> None:
    """Usage from a prefilled topic, one worker, beside the floor."""
    async with cell(ACCOUNTS) as made:
        await floor.prepare(made.database.owner_url)
        rates, ratios, floors = [], [], []
        for _ in range(RUNS):
            under = await floor.rows_per_second(made.database.owner_url, made.accounts, seconds=FLOOR_SECONDS)
            burnt = await usages.burn(made, usages.uniform(made.accounts, EVENTS))
            figures.console.print(
                f"  floor {under:,.0f}/s, usage {burnt.per_second:,.0f}/s, {burnt.cpu_us:.1f} us of the worker each"
            )
            floors.append(under)
            rates.append(burnt.per_second)
            ratios.append(burnt.per_second / under)
        figures.add("floor_per_s", statistics.median(floors), "rows/s")
        figures.add("usage_per_s", statistics.median(rates), "events/s")
        figures.add("usage_over_floor", statistics.median(ratios), "ratio", ">= 0.25")


PARTS: dict[str, Callable[[Figures], Awaitable[None]]] = {"usage": usage}


async def main() -> None:
    """Run the parts that are named, or all."""
    figures = Figures("ledger", Console(highlight=False))
    for name in sys.argv[1:] or PARTS:
        figures.console.print(f"{name}: {PARTS[name].__doc__}")
        await PARTS[name](figures)
    figures.show()


if __name__ == "__main__":
    uvloop.run(main())
