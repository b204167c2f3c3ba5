"""Figures that are not sums are rounded as they say."""

from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from services.payments.domain.reports import GiftCards, half_up, permille, roll_forward


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_an_average_is_rounded_to_the_nearest_a_half_upwards(amount: int, among: int) -> None:
    assert half_up(amount, among) == floor(Fraction(amount, among) + Fraction(1, 2))


def test_nobody_has_no_average_and_no_rate() -> None:
    assert (half_up(5, 0), permille(0, 0)) == (None, None)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_only_all_is_a_thousand_permille(went_well: int, failed: int) -> None:
    found = permille(went_well, went_well + failed)
    assert (found == 1000) == (went_well > 0 and failed == 0)


def test_gift_cards_open_with_what_was_owed_before() -> None:
    moved = [GiftCards("", 900, 300, 100), GiftCards("2026-01", 50, 500, 0), GiftCards("2026-02", 0, 0, 50)]
    rows = list(roll_forward("usd", moved))
    assert [(row.period, row.opening_minor, row.closing_minor) for row in rows] == [
        ("2026-01", 500, 50), ("2026-02", 50, 0), (None, 500, 0)
    ]  # fmt: skip
    assert (rows[-1].sold_minor, rows[-1].redeemed_minor, rows[-1].voided_minor) == (50, 500, 50)
