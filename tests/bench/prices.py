"""`make bench-prices`: what rating costs, beside its conditions evaluated bare; backtests; how fast usage is reported.

A table, and build/bench/prices.json. Properties are of high cardinality, so that nothing is remembered from one usage
to the next.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cel_expr_python import cel
from rich.console import Console

from libs.contracts.price_book import PriceBook
from services.credits.domain.pricing import Prices
from tests.bench import backtest, client, insight
from tests.bench.figures import Figures

RUNS = 5
USAGES = 50_000
CONDITIONS = ('seconds > 5 && model != "none"', "hd && seconds < 1000000", 'model.startsWith("model")')
BOOK = {
    "version": "bench-1",
    "meters": {
        "simple": {"unit": "unit", "prices": [{"credits": 5}]},
        "conditions": {
            "unit": "unit",
            "properties": {"seconds": {"type": "integer"}, "model": {"type": "text"}, "hd": {"type": "boolean"}},
            "prices": [{"credits": 500}],
            "surcharges": [{"name": text[:20], "when": text, "percent": 10} for text in CONDITIONS],
        },
    },
}

Properties = Mapping[str, Any]


def main() -> None:
    """Measure, in turn: bare evaluations, a meter with the same conditions, one without; a backtest; the client."""
    figures = Figures("prices", Console(highlight=False))
    prices = Prices(PriceBook.model_validate(BOOK))
    env = cel.NewEnv(variables={"seconds": cel.Type.INT, "model": cel.Type.STRING, "hd": cel.Type.BOOL})
    bare = [env.compile(text).eval for text in CONDITIONS]
    asked = [{"seconds": 6 + number, "model": f"model-{number}", "hd": True} for number in range(USAGES)]

    def evaluate(properties: Properties) -> None:
        for condition in bare:
            condition(data=properties).value()

    def conditions(properties: Properties) -> None:
        prices.rate("conditions", 1, dict(properties))

    def simple(_: Properties) -> None:
        prices.rate("simple", 1, {})

    runs = [[_microseconds(rate, asked) for rate in (evaluate, conditions, simple)] for _ in range(RUNS)]
    figures.add("rate_simple_us", statistics.median(run[2] for run in runs), "us")
    figures.add("rate_conditions_us", statistics.median(run[1] for run in runs), "us")
    figures.add("rate_conditions_over_bare", statistics.median(run[1] / run[0] for run in runs), "ratio", "<= 1.5")
    asyncio.run(backtest.measure(figures))
    asyncio.run(client.measure(figures))
    asyncio.run(insight.measure(figures))
    figures.show()


def _microseconds(rate: Callable[[Properties], None], asked: Sequence[Properties]) -> float:
    began = time.perf_counter()
    for properties in asked:
        rate(properties)
    return (time.perf_counter() - began) / len(asked) * 1e6


if __name__ == "__main__":
    main()
