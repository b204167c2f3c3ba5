"""Margins: what a lot was paid with is earned to the last millionth, however its credits go."""

import random
from itertools import pairwise

import pytest

from services.credits.domain.margins import Moved, PaidLot, Worth, worth


def a_lot(granted: int, cost_minor: int, before: Moved, after: Moved, *, currency: str = "usd") -> PaidLot:
    return PaidLot(granted, cost_minor, currency, before, after)


NOTHING = Moved(0, 0, 0)


@pytest.mark.parametrize(("currency", "micros"), [("usd", 9_990_000), ("jpy", 999_000_000), ("kwd", 999_000)])
def test_a_lot_that_is_wholly_burnt_has_earned_what_was_paid_for_it(currency: str, micros: int) -> None:
    lot = a_lot(7_000_000, 999, NOTHING, Moved(7_000_000, 0, 0), currency=currency)
    assert worth(lot) == Worth(micros, 0, 0)


@pytest.mark.parametrize("seed", range(50))
def test_parts_and_days_add_up_to_what_was_paid(seed: int) -> None:
    chance = random.Random(seed)
    granted, cost = chance.randint(1, 10**13), chance.randint(0, 99_999_999)
    cuts = sorted(chance.randint(0, granted) for _ in range(29))
    ends, total = [NOTHING], Worth()
    for begin, end in pairwise([0, *cuts, granted]):
        moved = list(ends[-1])
        moved[chance.randrange(3)] += end - begin
        ends.append(Moved(*moved))
        total = total.plus(worth(a_lot(granted, cost, ends[-2], ends[-1])))
    assert total == worth(a_lot(granted, cost, NOTHING, ends[-1]))
    assert sum(total) == cost * 10_000


def test_what_a_charge_gave_back_is_earned_no_more() -> None:
    lot = a_lot(3_000_000, 100, Moved(2_000_000, 0, 0), Moved(1_000_000, 0, 0))
    assert worth(lot).burnt == 333_333 - 666_666


def test_what_was_refunded_while_it_was_held_is_less_than_nothing_until_it_is_burnt() -> None:
    before, after = Moved(-3_000_000, 0, 0), NOTHING
    assert worth(a_lot(3_000_000, 100, NOTHING, before)).burnt == -1_000_000
    assert worth(a_lot(3_000_000, 100, before, after)).burnt == 1_000_000
