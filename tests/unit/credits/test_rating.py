from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.catalogue import PriceBook
from libs.contracts.credits import MICRO
from services.credits.domain.errors import UnknownMeterError, UnratableUsageError
from services.credits.domain.rating import rate
from tests.support.ledger import CATALOGUE

BOOK = CATALOGUE.price_book


@pytest.mark.parametrize(
    ("quantity", "resolution", "credits"),
    [("3", "720p", 15), ("5", "1080p", 40), ("0.1", "720p", 5), ("3.000001", "720p", 20), ("0", "720p", 0)],
)
def test_a_started_minute_counts_as_a_minute(quantity: str, resolution: str, credits: int) -> None:
    assert rate(BOOK, "video", Decimal(quantity), {"resolution": resolution}) == credits * MICRO


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.booleans())
def test_a_whole_quantity_costs_the_same_however_it_is_written(quantity: int, price: int, whole_units: bool) -> None:
    meter = {"unit": "u", "whole_units": whole_units, "prices": [{"credits": price}]}
    book = PriceBook.model_validate({"version": "1", "meters": {"m": meter}})
    assert rate(book, "m", quantity, {}) == rate(book, "m", Decimal(quantity), {}) == quantity * price


def test_a_meter_that_the_price_book_lacks_is_refused() -> None:
    with pytest.raises(UnknownMeterError, match="teleport"):
        rate(BOOK, "teleport", Decimal(1), {})


def test_properties_that_fit_no_price_are_refused() -> None:
    with pytest.raises(UnratableUsageError):
        rate(BOOK, "video", Decimal(1), {"resolution": "4k"})


def test_a_usage_dearer_than_any_account_is_refused() -> None:
    dear = PriceBook.model_validate(
        {"version": "1", "meters": {"gold": {"unit": "bar", "prices": [{"credits": "9000000000000"}]}}}
    )
    with pytest.raises(UnratableUsageError, match="more than an account"):
        rate(dear, "gold", Decimal(10**12), {})


@given(st.decimals(min_value=0, max_value=10**6, places=6), st.integers(0, 10**9))
def test_rating_rounds_up_and_by_less_than_a_micro_credit(quantity: Decimal, price: int) -> None:
    book = PriceBook.model_validate({"version": "1", "meters": {"m": {"unit": "u", "prices": [{"credits": price}]}}})
    exact = Fraction(quantity) * price
    assert 0 <= rate(book, "m", quantity, {}) - exact < 1
