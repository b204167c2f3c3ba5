"""Margins: what credits earned that were paid for, in millionths of a currency's unit.

What a lot was paid with is spread over all its credits. It is rounded up to a day, never for a day by itself, and part
after part: what a lot earned in all its days, with what expired and went to others, is exactly what was paid for it.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

from libs.contracts.money import decimals

_DECIMALS = 6


class Moved(NamedTuple):
    """How many of a lot's credits were burnt, had expired and were transferred by the end of a day."""

    burnt: int
    expired: int
    transferred: int


class PaidLot(NamedTuple):
    """A lot that was paid for, and what had become of it before some days and after them."""

    granted: int
    cost_minor: int
    currency: str
    before: Moved
    after: Moved


class Worth(NamedTuple):
    """What was paid for credits, by what became of them."""

    burnt: int = 0
    expired: int = 0
    transferred: int = 0

    def plus(self, other: "Worth") -> "Worth":
        """Add another."""
        return Worth(*(one + more for one, more in zip(self, other, strict=True)))


def worth(lot: PaidLot) -> Worth:
    """Tell what was paid for the credits that moved meanwhile."""
    before, after = _worth(lot, lot.before), _worth(lot, lot.after)
    return Worth(*(late - early for early, late in zip(before, after, strict=True)))


def _worth(lot: PaidLot, moved: Moved) -> Worth:
    paid = lot.cost_minor * 10 ** (_DECIMALS - decimals(lot.currency))
    bounds = [paid * credits // lot.granted for credits in accumulate(moved, initial=0)]
    return Worth(*(end - begin for begin, end in pairwise(bounds)))
