"""Prices that depend on what the account used before in the same period: allowances and tiers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from libs.contracts.price_book import Meter, Price
from services.credits.domain.pricing.rounding import Exact, whole_or_ratio

_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m"}


def period_of(meter: Meter, time: datetime) -> str:
    """Name the period, by the calendar (UTC), in which a usage of that time counts: `2026-11`."""
    return time.astimezone(UTC).strftime(_FORMATS[meter.period])


class Part(NamedTuple):
    """So many billed units at one price; None is free."""

    units: Exact
    credits: int | None


class Ladder:
    """What billed units cost by one price of a meter, from the first one of a period on."""

    def __init__(self, price: Price, allowance: Decimal) -> None:
        self._free = whole_or_ratio(allowance)
        self._volume = price.tiers is not None and price.tiers.mode == "volume"
        self._steps: list[tuple[Exact | None, int]] = (
            [(None if tier.upto is None else whole_or_ratio(tier.upto), tier.credits) for tier in price.tiers.steps]
            if price.tiers is not None
            else [(None, price.credits or 0)]
        )
        self.dearest = max(credits for _, credits in self._steps)
        """What a unit costs at most."""

    def parts(self, before: Exact, units: Exact) -> list[Part]:
        """Divide units that follow those `before` them into what is free and what costs what."""
        end = before + units
        free = min(max(self._free - before, 0), units)
        found = [Part(free, None)] if free else []
        if self._volume:
            reached = next(credits for bound, credits in self._steps if bound is None or end <= bound)
            return [*found, Part(units - free, reached)]
        low = before + free
        for bound, credits in self._steps:
            high = end if bound is None else min(bound, end)
            if high > low:
                found.append(Part(high - low, credits))
                low = high
        return found
