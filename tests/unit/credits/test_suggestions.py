"""How much a hold should reserve."""

import random

import pytest

from services.credits.domain.suggestions import FEWEST, suggest


def test_too_few_holds_teach_nothing() -> None:
    assert suggest([5] * (FEWEST - 1), percentile=95) is None


@pytest.mark.parametrize(("percentile", "credits"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_so_many_in_a_hundred_are_covered(percentile: int, credits: int) -> None:
    found = suggest(random.Random(1).sample(range(1, 101), 100), percentile=percentile)
    assert found is not None
    assert found.credits == credits


@pytest.mark.parametrize("percentile", [50, 80, 95])
def test_it_falls_short_about_as_often_as_it_leaves_out(percentile: int) -> None:
    chance = random.Random(2)
    found = suggest([int(chance.expovariate(0.001)) for _ in range(1000)], percentile=percentile)
    assert found is not None
    assert abs(found.short_permille - 10 * (100 - percentile)) <= 30


def test_jobs_that_grow_dearer_are_told_by_how_often_it_falls_short() -> None:
    found = suggest(list(range(1000, 2000)), percentile=95)
    assert found is not None
    assert found.short_permille == 1000
