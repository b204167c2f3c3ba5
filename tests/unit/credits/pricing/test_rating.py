from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.credits import LARGEST, MICRO
from libs.contracts.price_book import PriceBook
from services.credits.domain.errors import UnknownMeterError, UnratableUsageError
from services.credits.domain.pricing import Prices
from tests.support.ledger import PRICES

QUANTITIES = st.decimals(min_value=0, max_value=10**9, places=6) | st.integers(0, 10**12)


def prices(rounding: str = "up", **meter: Any) -> Prices:
    """Compile a book of one meter, `m`; credits are micro-credits, as our own code writes them."""
    meter = {"unit": "unit", "prices": [{"credits": MICRO}]} | meter
    return Prices(PriceBook.model_validate({"version": "1", "rounding": rounding, "meters": {"m": meter}}))


def cost(found: Prices, quantity: int | Decimal = 1, **properties: Any) -> int:
    return found.rate("m", quantity, properties).credits


# What a quantity is


@given(QUANTITIES, st.integers(0, LARGEST // 10**12))
def test_what_is_counted_exactly_is_rounded_once_and_never_to_our_loss(quantity: int | Decimal, price: int) -> None:
    exact = Fraction(quantity) * price
    assert 0 <= cost(prices(prices=[{"credits": price}]), quantity) - exact < 1
    assert 0 <= exact - cost(prices("down", prices=[{"credits": price}]), quantity) < 1
    assert cost(prices("half_even", prices=[{"credits": price}]), quantity) == round(exact)


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.sampled_from(["exact", "up", "down", "nearest"]))
def test_a_whole_quantity_costs_the_same_however_it_is_written(quantity: int, price: int, rounding: str) -> None:
    found = prices(billing={"rounding": rounding}, prices=[{"credits": price}])
    assert cost(found, quantity) == cost(found, Decimal(quantity)) == quantity * price


@given(QUANTITIES, st.decimals(min_value="0.000001", max_value=10**6, places=6))
def test_billed_units_are_those_of_exact_arithmetic(quantity: int | Decimal, per: Decimal) -> None:
    exact = Fraction(quantity) / Fraction(per)
    for rounding, units in (("up", ceil(exact)), ("down", floor(exact)), ("nearest", floor(exact + Fraction(1, 2)))):
        found = prices(billing={"per": str(per), "rounding": rounding}, prices=[{"credits": 1}])
        assert cost(found, quantity) == units


def test_nothing_used_costs_nothing_even_where_there_is_a_minimum() -> None:
    assert cost(prices(minimum=MICRO), 0) == 0
    assert cost(prices(minimum=MICRO), Decimal("0.1")) == MICRO


# Which rules hold

RULES: dict[str, Any] = {
    "properties": {
        "size": {"type": "integer", "maximum": 100},
        "fast": {"type": "boolean", "default": False},
        "outcome": {"type": "text", "values": ["ok", "failed", "cached"], "default": "ok"},
    },
    "prices": [{"when": "size > 50", "credits": 7 * MICRO}, {"credits": 3 * MICRO}],
    "surcharges": [
        {"name": "Large", "when": "size > 80", "percent": 50},
        {"name": "Fast", "when": "fast", "percent": 100},
        {"name": "Tiny", "when": "size == 0", "percent": -100},
        {"name": "Empty", "when": "size < 1", "percent": -100},
    ],
    "add_ons": [
        {"name": "Set-up", "credits": 10},
        {"name": "Handling", "when": "fast", "credits": 5, "each": "unit"},
    ],
    "outcomes": [
        {"name": "Failed", "when": 'outcome == "failed"', "percent": 0},
        {"name": "Cached", "when": 'outcome == "cached"', "percent": 33},
    ],
    "minimum": 20,
}


@given(
    st.decimals(min_value=0, max_value=1000, places=6),
    st.integers(0, 100),
    st.booleans(),
    st.sampled_from(["ok", "failed", "cached"]),
)
def test_a_price_is_that_of_exact_arithmetic_whichever_rules_hold(
    quantity: Decimal, size: int, fast: bool, outcome: str
) -> None:
    percent = 100 + 50 * (size > 80) + 100 * fast - 200 * (size == 0)
    exact = Fraction(quantity) * (7 if size > 50 else 3) * MICRO * max(percent, 0) / 100
    exact += 10 + Fraction(quantity) * 5 * fast
    exact *= {"ok": Fraction(1), "failed": Fraction(0), "cached": Fraction(33, 100)}[outcome]
    if exact:
        exact = max(exact, Fraction(20))
    found = prices(**RULES)
    assert cost(found, quantity, size=size, fast=fast, outcome=outcome) == ceil(exact)


def test_what_an_event_does_not_say_is_as_the_meter_says() -> None:
    found = prices(**RULES)
    assert cost(found, 1, size=1) == cost(found, 1, size=1, fast=False, outcome="ok") == 3 * MICRO + 10


def test_more_combinations_than_are_remembered_are_rated_all_the_same() -> None:
    found = prices(
        properties={"id": {"type": "integer"}}, prices=[{"when": "id % 2 == 0", "credits": 2}, {"credits": 1}]
    )
    assert [cost(found, 1, id=number) for number in range(10_000)] == [2, 1] * 5000


# What cannot be rated


def test_a_meter_that_the_price_book_lacks_is_refused() -> None:
    with pytest.raises(UnknownMeterError, match="teleport"):
        prices().rate("teleport", 1, {})


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({}, 'property "size" is missing'),
        ({"size": "1"}, "a whole number is expected"),
        ({"size": True}, "a whole number is expected"),
        ({"size": 101}, "101 is not between 0 and 100"),
        ({"size": 1, "fast": 1}, "true or false is expected"),
        ({"size": 1, "outcome": 1}, "a text is expected"),
        ({"size": 1, "outcome": "lost"}, '"lost" is none of cached, failed, ok'),
        ({"size": 1, "colour": "red"}, 'declares no property "colour"'),
    ],
)
def test_properties_that_the_meter_does_not_allow_are_refused(properties: dict[str, Any], why: str) -> None:
    with pytest.raises(UnratableUsageError, match=why):
        prices(**RULES).rate("m", 1, properties)


def test_a_resolution_that_the_test_catalogue_does_not_price_is_refused() -> None:
    with pytest.raises(UnratableUsageError, match='"4k" is none of 1080p, 720p'):
        PRICES.rate("video", Decimal(1), {"resolution": "4k"})


def test_a_condition_that_fails_refuses_the_usage_alone() -> None:
    found = prices(
        properties={"size": {"type": "integer"}}, prices=[{"when": "10 / size > 1", "credits": 1}, {"credits": 2}]
    )
    with pytest.raises(UnratableUsageError, match="zero"):
        cost(found, size=0)
    assert (cost(found, size=5), cost(found, size=10)) == (1, 2)


def test_a_usage_dearer_than_any_account_is_refused() -> None:
    with pytest.raises(UnratableUsageError, match="more than an account"):
        cost(prices(prices=[{"credits": "9000000000000"}]), Decimal(10**12))
