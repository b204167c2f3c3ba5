"""Allowances and tiers, against the sum over all units one by one, as exact ratios."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.credits import MICRO
from libs.contracts.price_book import PriceBook
from services.credits.domain.pricing import Prices

UNITS = st.decimals(min_value=0, max_value=3000, places=6)
BOUNDS = st.lists(st.integers(1, 2000), unique=True, max_size=4).map(sorted)
PRICES = st.lists(st.integers(0, 9 * MICRO), min_size=5, max_size=5)
PER = st.sampled_from(["1", "0.5", "30", "7"])


def prices(**meter: Any) -> Prices:
    return Prices(PriceBook.model_validate({"version": "1", "meters": {"m": {"unit": "unit"} | meter}}))


def tiers(mode: str, bounds: list[int], credits: list[int]) -> dict[str, Any]:
    steps = [{"upto": str(bound), "credits": price} for bound, price in zip(bounds, credits, strict=False)]
    return {"tiers": {"mode": mode, "steps": [*steps, {"credits": credits[len(bounds)]}]}}


def total(units: Fraction, bounds: list[int], credits: list[int], *, free: Fraction = Fraction(0)) -> Fraction:
    """Say what a period's first units cost together, by graduated tiers."""
    edges = [Fraction(0), *map(Fraction, bounds), max(units, *map(Fraction, bounds), Fraction(0))]
    spans = [(max(low, free), min(high, units)) for low, high in pairwise(edges)]
    return sum(
        (max(high - low, Fraction(0)) * price for (low, high), price in zip(spans, credits, strict=False)), Fraction(0)
    )


@given(st.lists(UNITS, min_size=1, max_size=6), BOUNDS, PRICES, st.integers(0, 1500), PER)
def test_usages_one_after_the_other_cost_what_they_do_together(
    usages: list[Decimal], bounds: list[int], credits: list[int], free: int, per: str
) -> None:
    found = prices(billing={"per": per}, allowance=str(free), prices=[tiers("graduated", bounds, credits)])
    counted, before = 0, Fraction(0)
    for usage in usages:
        rating = found.rate("m", usage, {})
        after = before + Fraction(usage) / Fraction(per)
        exact = total(after, bounds, credits, free=Fraction(free)) - total(before, bounds, credits, free=Fraction(free))
        assert rating.credits_after(counted) == ceil(exact)
        assert rating.credits >= rating.credits_after(counted)
        counted, before = counted + rating.counted, after
    assert counted == sum(usages) * MICRO


@given(st.lists(UNITS, min_size=1, max_size=6), BOUNDS, PRICES, st.integers(0, 1500))
def test_by_volume_all_units_of_a_usage_cost_what_the_tier_says_that_it_reaches(
    usages: list[Decimal], bounds: list[int], credits: list[int], free: int
) -> None:
    found = prices(allowance=str(free), prices=[tiers("volume", bounds, credits)])
    counted = 0
    for usage in usages:
        rating = found.rate("m", usage, {})
        before, after = Fraction(counted, MICRO), Fraction(counted, MICRO) + Fraction(usage)
        price = credits[sum(after > bound for bound in bounds)]
        paid = max(after - max(before, Fraction(free)), Fraction(0))
        assert rating.credits_after(counted) == ceil(paid * price)
        assert rating.credits >= rating.credits_after(counted)
        counted += rating.counted


def test_an_allowance_covers_started_units_and_what_is_added_to_them_but_not_what_is_added_to_the_event() -> None:
    found = prices(
        billing={"per": "60", "rounding": "up"},
        allowance="10",
        prices=[{"credits": MICRO}],
        surcharges=[{"name": "Large", "percent": 50}],
        add_ons=[{"name": "Handling", "each": "unit", "credits": 10}, {"name": "Set-up", "credits": 3}],
    )
    rating = found.rate("m", 61, {})
    assert rating.counted == 120 * MICRO
    assert rating.credits_after(8 * 60 * MICRO) == 3
    assert rating.credits_after(9 * 60 * MICRO) == 1_500_000 + 10 + 3
    assert rating.rules_after(9 * 60 * MICRO) == [
        "1 unit free",
        "1 unit at 1",
        "Large: +50 %",
        "Handling: +0.00001 a unit",
        "Set-up: +0.000003",
    ]


def test_work_that_is_not_charged_uses_nothing_of_an_allowance() -> None:
    found = prices(
        properties={"outcome": {"type": "text", "values": ["ok", "cached", "failed"]}},
        allowance="10",
        prices=[{"credits": MICRO}],
        outcomes=[
            {"name": "Failed", "when": 'outcome == "failed"', "percent": 0},
            {"name": "Cached", "when": 'outcome == "cached"', "percent": 10},
        ],
    )
    assert [found.rate("m", 5, {"outcome": outcome}).counted for outcome in ("ok", "cached", "failed")] == [
        5 * MICRO,
        5 * MICRO,
        0,
    ]
    assert found.rate("m", 5, {"outcome": "failed"}).credits == 0
