"""Unusual days: an account burns far more than its own past lets one expect.

A day is measured by the second busiest of the last nine weeks: one day alone, perhaps unusual itself, says nothing, and
what comes once a month is in nine weeks twice. Of an account of which less is known, by the busiest.
"""

from collections.abc import Sequence

from libs.contracts.credits import MICRO

HISTORY_DAYS = 63
_FEWEST_DAYS = 7
_ENOUGH_DAYS = 28
_TIMES = 2
WORTH_A_LOOK = 10 * MICRO
"""Who burns no more than this has no unusual day."""


def usual(past: Sequence[int]) -> int | None:
    """Tell what an account burns on a busy day; None if it has not burnt anything for long enough.

    The past is what it burnt day by day, at most of nine weeks, the latest day last; the first days are left out on
    which it did not burn yet.
    """
    first = next((number for number, credits in enumerate(past) if credits > 0), len(past))
    known = sorted(past[first:], reverse=True)
    if len(known) < _FEWEST_DAYS:
        return None
    return known[1] if len(known) >= _ENOUGH_DAYS else known[0]


def is_unusual(burnt: int, usual: int) -> bool:
    """Tell whether that much is unusual on a day."""
    return burnt > max(_TIMES * usual, WORTH_A_LOOK)
