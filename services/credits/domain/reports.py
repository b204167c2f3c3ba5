"""Deferred revenue: what was paid for credits that are not used yet, from one period to the next."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from libs.contracts.http.reports_v1 import DeferredRow, Period

WRITTEN: Mapping[Period, tuple[str, str]] = {"day": ("%Y-%m-%d", "YYYY-MM-DD"), "month": ("%Y-%m", "YYYY-MM")}
"""How a period is written: by us, and by the database."""


class Moved(NamedTuple):
    """What became of it in a period."""

    sold_minor: int = 0
    recognised_minor: int = 0
    returned_minor: int = 0
    breakage_minor: int = 0
    transferred_minor: int = 0

    @property
    def more_minor(self) -> int:
        """By how much more is deferred afterwards."""
        return self.sold_minor - sum(self[1:])


def periods(first: date, last: date, by: Period) -> list[str]:
    """Name the periods of which these days are, both ends included."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [name for name, _ in groupby(day.strftime(WRITTEN[by][0]) for day in days)]


def roll_forward(
    currency: str, opening_minor: int, names: Sequence[str], moved: Mapping[str, Moved]
) -> Iterator[DeferredRow]:
    """Tell period by period with what it opens, what became of it, and with what it closes."""
    for name in names:
        row = _row(name, currency, opening_minor, moved.get(name, Moved()))
        yield row
        opening_minor = row.closing_minor


def total(currency: str, opening_minor: int, moved: Mapping[str, Moved]) -> DeferredRow:
    """Tell the same of all periods together."""
    together = Moved(*(sum(each) for each in zip(Moved(), *moved.values(), strict=True)))
    return _row(None, currency, opening_minor, together)


def _row(period: str | None, currency: str, opening_minor: int, moved: Moved) -> DeferredRow:
    closing = opening_minor + moved.more_minor
    return DeferredRow(
        period=period, currency=currency, opening_minor=opening_minor, closing_minor=closing, **moved._asdict()
    )
