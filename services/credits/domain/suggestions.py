"""How much a hold should reserve, learned from what holds of the same kind captured."""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

FEWEST = 10
"""Holds without which nothing is suggested."""


class Suggestion(NamedTuple):
    """So many micro-credits, and how many in a thousand of the holds it was tried on that would not have covered."""

    credits: int
    short_permille: int


def suggest(captured: Sequence[int], *, percentile: int) -> Suggestion | None:
    """Suggest what covers so many holds in a hundred; `captured` is what each captured, the oldest first.

    How often it falls short is tried out: each hold after the first ten against what was learned from those before it.
    """
    if len(captured) < FEWEST:
        return None
    known = sorted(captured[:FEWEST])
    short = 0
    for credits in captured[FEWEST:]:
        short += credits > _at(known, percentile)
        insort(known, credits)
    tried = len(captured) - FEWEST
    return Suggestion(_at(known, percentile), short * 1000 // tried if tried else 0)


def _at(known: Sequence[int], percentile: int) -> int:
    """Give the least value that so many in a hundred do not exceed (the nearest-rank definition)."""
    return known[max(-(-len(known) * percentile // 100), 1) - 1]
