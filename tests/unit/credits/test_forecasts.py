"""Forecasts, against what synthetic customers go on to do."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from libs.contracts.credits import MICRO
from services.credits.domain.forecasts import CONFIDENCE_PERCENT, HISTORY_DAYS, Forecast, Remaining, forecast, known

NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)  # a Wednesday
NEVER = datetime.max.replace(tzinfo=UTC)
Pattern = Callable[[random.Random, date], int]


def steady(chance: random.Random, _: date) -> int:
    return chance.randint(90, 110) * MICRO


def weekly(chance: random.Random, day: date) -> int:
    return chance.randint(5, 15) * MICRO if day.weekday() >= 5 else chance.randint(150, 250) * MICRO


def bursty(chance: random.Random, _: date) -> int:
    return chance.randint(300, 900) * MICRO if chance.random() < 0.25 else chance.randint(0, 20) * MICRO


def rare(chance: random.Random, _: date) -> int:
    """One day in eight."""
    return chance.randint(300, 900) * MICRO if chance.random() < 0.125 else 0


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


@pytest.mark.parametrize(
    ("pattern", "days"),
    [*((pattern, days) for pattern in (steady, weekly, bursty) for days in (14, 56)), (rare, 2 * HISTORY_DAYS)],
)
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


@pytest.mark.parametrize("pattern", [steady, weekly, bursty])
@pytest.mark.parametrize(("silent", "days"), [(42, 14), (80, 14), (6, 14), (20, 36)])
def test_who_began_late_runs_out_within_the_interval_as_often_as_it_says(
    pattern: Pattern, silent: int, days: int
) -> None:
    within = 0
    for seed in range(100):
        chance = random.Random(seed)
        past = began_late(silent, history(pattern, chance, days))
        found = told(past, Remaining(3000 * MICRO, None), seed=seed)
        truth = runs_out(pattern, chance, 3000 * MICRO)
        earliest, latest = (at or NEVER for at in (found.earliest, found.latest))
        within += earliest <= truth <= latest
    assert within >= CONFIDENCE_PERCENT - 8


def began_late(silent: int, days: list[tuple[date, int]]) -> list[tuple[date, int]]:
    before = [(days[0][0] - timedelta(days=ago), 0) for ago in range(silent, 0, -1)]
    return before + days


def test_an_account_that_uses_its_credits_since_four_days_is_told_by_those() -> None:
    past = began_late(46, [(day, 100 * MICRO) for day, _ in history(steady, random.Random(1), 4)])
    found = told(past, Remaining(500 * MICRO, None))
    assert found.earliest == found.likely == found.latest == NOON + timedelta(days=5)


def test_who_begins_anew_after_a_long_silence_is_told_by_what_came_after() -> None:
    today = [(day, 100 * MICRO) for day, _ in history(steady, random.Random(1), 4)]
    tried = began_late(40, today)
    tried[0] = (tried[0][0], 5 * MICRO)
    assert told(tried, Remaining(500 * MICRO, None)).latest == NOON + timedelta(days=5)
    resting = began_late(20, today)
    resting[0] = (resting[0][0], 5 * MICRO)
    assert told(resting, Remaining(500 * MICRO, None)).likely != NOON + timedelta(days=5)


def test_who_seldom_uses_anything_is_not_taken_for_a_beginner() -> None:
    """Silence at the beginning of the window belongs to his ways, where he used something before."""
    days = [(day, 0) for day, _ in history(steady, random.Random(1), 2 * HISTORY_DAYS)]
    for number in range(3, len(days), 20):
        days[number] = (days[number][0], 100 * MICRO)
    assert known(days) == days[-HISTORY_DAYS:]
    assert known(days[-HISTORY_DAYS:]) == days[-HISTORY_DAYS + 7 :]


@pytest.mark.parametrize("days", [1, 2])
def test_who_has_used_too_few_days_is_not_foretold_however_long_he_was_silent(days: int) -> None:
    past = began_late(50, history(steady, random.Random(1), days))
    assert forecast(past, [Remaining(MICRO, None)], NOON, seed=UUID(int=1)) is None


def test_who_never_used_anything_does_not_run_out_and_is_told_what_expires() -> None:
    past = [(day, 0) for day, _ in history(steady, random.Random(1), 30)]
    expiring = Remaining(100 * MICRO, NOON + timedelta(days=4))
    assert told(past, expiring, Remaining(MICRO, None)) == Forecast(None, None, None, 100 * MICRO)


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
