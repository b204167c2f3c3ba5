"""Forecasts, against what synthetic customers go on to do."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from libs.contracts.credits import MICRO
from services.credits.domain.forecasts import CONFIDENCE_PERCENT, Forecast, Remaining, forecast

NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)  # a Wednesday
NEVER = datetime.max.replace(tzinfo=UTC)
Pattern = Callable[[random.Random, date], int]


def steady(chance: random.Random, _: date) -> int:
    return chance.randint(90, 110) * MICRO


def weekly(chance: random.Random, day: date) -> int:
    return chance.randint(5, 15) * MICRO if day.weekday() >= 5 else chance.randint(150, 250) * MICRO


def bursty(chance: random.Random, _: date) -> int:
    return chance.randint(300, 900) * MICRO if chance.random() < 0.25 else chance.randint(0, 20) * MICRO


def history(pattern: Pattern, chance: random.Random, days: int) -> list[tuple[date, int]]:
    first = NOON.date() - timedelta(days=days)
    return [(day, pattern(chance, day)) for day in (first + timedelta(days=number) for number in range(days))]


def runs_out(pattern: Pattern, chance: random.Random, credits: int) -> datetime:
    """Say when a customer who goes on as before has nothing left."""
    at, lasts = NOON, 12 * 3600
    while True:
        burn = pattern(chance, at.date()) * lasts // 86_400
        if burn >= credits:
            return at + timedelta(seconds=lasts * credits // burn)
        credits, at, lasts = credits - burn, at + timedelta(seconds=lasts), 86_400


def told(days: list[tuple[date, int]], *lots: Remaining, seed: int = 1) -> Forecast:
    found = forecast(days, lots, NOON, seed=UUID(int=seed))
    assert found is not None
    return found


@pytest.mark.parametrize("pattern", [steady, weekly, bursty])
@pytest.mark.parametrize("days", [14, 56])
def test_credits_run_out_within_the_interval_as_often_as_it_says(pattern: Pattern, days: int) -> None:
    within = 0
    for seed in range(100):
        chance = random.Random(seed)
        past = history(pattern, chance, days)
        found = told(past, Remaining(3000 * MICRO, None), seed=seed)
        truth = runs_out(pattern, chance, 3000 * MICRO)
        earliest, likely, latest = (at or NEVER for at in (found.earliest, found.likely, found.latest))
        assert earliest <= likely <= latest
        within += earliest <= truth <= latest
    assert within >= CONFIDENCE_PERCENT - 8  # two standard deviations of so few


def test_the_interval_is_narrow_where_every_day_is_like_the_other_and_wide_where_none_is() -> None:
    spans = []
    for pattern in (steady, bursty):
        found = told(history(pattern, random.Random(1), 56), Remaining(3000 * MICRO, None))
        assert found.earliest is not None
        assert found.latest is not None
        spans.append(found.latest - found.earliest)
    assert spans[0] < timedelta(days=2) < timedelta(days=5) < spans[1]


def test_weekends_count_as_weekends() -> None:
    """Friday's credits last over a weekend on which nothing is burnt."""
    past = [(day, 0 if day.weekday() >= 5 else 100 * MICRO) for day, _ in history(steady, random.Random(1), 56)]
    found = told(past, Remaining(260 * MICRO, None))  # half of Wednesday, Thursday, Friday, a tenth of Monday
    assert found.likely is not None
    assert found.likely.date() == date(2026, 6, 22)
    assert found.earliest == found.latest


def test_who_has_stopped_does_not_run_out() -> None:
    past = history(steady, random.Random(1), 40)
    stopped = past[:26] + [(day, 0) for day, _ in past[26:]]
    assert told(stopped, Remaining(100 * MICRO, None)) == Forecast(None, None, None, 0)
    paused = past[:36] + [(day, 0) for day, _ in past[36:]]
    assert told(paused, Remaining(100 * MICRO, None)).likely is not None


def test_what_expires_before_it_is_burnt_is_told() -> None:
    past = [(day, 10 * MICRO) for day, _ in history(steady, random.Random(1), 30)]
    soon = Remaining(100 * MICRO, NOON + timedelta(days=4))
    found = told(past, soon, Remaining(50 * MICRO, None))
    assert 55 * MICRO <= found.expiring <= 65 * MICRO
    assert found.likely is not None
    assert timedelta(days=8) < found.likely - NOON < timedelta(days=10)
    assert told(past, Remaining(20 * MICRO, NOON + timedelta(days=4))).expiring == 0


def test_an_account_with_nothing_left_is_empty_now_and_a_new_one_is_not_foretold() -> None:
    past = history(steady, random.Random(1), 30)
    assert told(past).likely == NOON
    assert forecast(past[:2], [Remaining(MICRO, None)], NOON, seed=UUID(int=1)) is None


def test_the_same_account_is_told_the_same_twice() -> None:
    past = history(bursty, random.Random(1), 56)
    assert told(past, Remaining(900 * MICRO, None)) == told(past, Remaining(900 * MICRO, None))
