"""Unusual days, on synthetic customers: a runaway is found, and who goes on as ever is left alone."""

import random
from collections.abc import Callable

import pytest

from libs.contracts.credits import MICRO
from services.credits.domain.unusual_days import HISTORY_DAYS, is_unusual, usual

CUSTOMERS = 60
DAYS = 180
Pattern = Callable[[random.Random, int], int]


def steady(chance: random.Random, _: int) -> int:
    return chance.randint(90, 110) * MICRO


def weekly(chance: random.Random, day: int) -> int:
    return (chance.randint(5, 15) if day % 7 >= 5 else chance.randint(150, 250)) * MICRO


def growing(chance: random.Random, day: int) -> int:
    """Two in a hundred more each day: fourfold in ten weeks."""
    return chance.randint(80, 120) * MICRO * int(102**day) // int(100**day)


def bursty(chance: random.Random, _: int) -> int:
    return (chance.randint(300, 900) if chance.random() < 0.25 else chance.randint(0, 20)) * MICRO


def monthly(chance: random.Random, day: int) -> int:
    return (chance.randint(800, 1200) if day % 30 == 0 else chance.randint(10, 30)) * MICRO


def rare(chance: random.Random, _: int) -> int:
    """One day in ten."""
    return chance.randint(20, 60) * MICRO if chance.random() < 0.1 else 0


def wavering(chance: random.Random, _: int) -> int:
    """Between a fifth and five times of what is usual on all but one day in twenty."""
    return int(100 * chance.lognormvariate(0, 0.8)) * MICRO


def stands_out(past: list[int], burnt: int) -> bool:
    level = usual(past[-HISTORY_DAYS:])
    return level is not None and is_unusual(burnt, level)


@pytest.mark.parametrize(
    ("pattern", "per_ten_thousand"),
    [(steady, 0), (weekly, 0), (growing, 0), (bursty, 15), (rare, 20), (monthly, 60), (wavering, 60)],
)
def test_a_customer_who_goes_on_as_ever_is_hardly_ever_told_of(pattern: Pattern, per_ten_thousand: int) -> None:
    """Of all days, the first ones included, on which least is known."""
    told = 0
    for seed in range(CUSTOMERS):
        chance = random.Random(seed)
        days = [pattern(chance, day) for day in range(DAYS)]
        told += sum(stands_out(days[:day], days[day]) for day in range(DAYS))
    assert told * 10_000 <= per_ten_thousand * CUSTOMERS * DAYS


@pytest.mark.parametrize(
    ("pattern", "times"), [(steady, 3), (steady, 10), (weekly, 10), (growing, 10), (wavering, 20), (bursty, 30)]
)
@pytest.mark.parametrize("known", [14, 100])
def test_a_runaway_day_is_found(pattern: Pattern, times: int, known: int) -> None:
    """A day on which so many times as much is burnt as on an average day."""
    for seed in range(CUSTOMERS):
        chance = random.Random(seed)
        days = [pattern(chance, day) for day in range(known)]
        assert stands_out(days, times * sum(days) // known)


def test_a_second_runaway_is_found_as_the_first_was() -> None:
    days = [100 * MICRO] * 40
    assert stands_out([*days, 1000 * MICRO, *days[:3]], 1000 * MICRO)


def test_what_comes_once_a_month_is_told_of_once() -> None:
    days = [1000 * MICRO if day % 31 == 30 else 20 * MICRO for day in range(200)]
    assert [day for day in range(200) if stands_out(days[:day], days[day])] == [30, 61]


@pytest.mark.parametrize(
    ("past", "burnt", "told"),
    [
        ([], 1000, False),
        ([5] * 6, 1000, False),
        ([5] * 7, 1000, True),
        ([0] * 50 + [5] * 6, 1000, False),
        ([0] * 50 + [5] + [0] * 6, 1000, True),
        ([0] * 63, 1000, False),
        ([1] * 63, 10, False),
        ([1] * 63, 11, True),
        ([20] * 63, 40, False),
        ([20] * 63, 41, True),
        ([20] * 26 + [900], 900, False),
        ([20] * 27 + [900], 900, True),
    ],
)
def test_a_day_is_compared_with_enough_of_the_past(past: list[int], burnt: int, told: bool) -> None:
    assert stands_out([credits * MICRO for credits in past], burnt * MICRO) is told
