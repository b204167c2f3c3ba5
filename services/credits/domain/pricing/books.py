"""A price book, compiled."""

from decimal import Decimal
from typing import NamedTuple

from libs.contracts.credits import LARGEST
from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.price_book import PriceBook
from services.credits.domain.errors import UnknownMeterError, UnratableUsageError
from services.credits.domain.pricing.rounding import ROUND, Exact
from services.credits.domain.pricing.tariffs import Applied, Tariff, explained


class Rating(NamedTuple):
    """What a usage costs, in whole micro-credits, and by which rules."""

    credits: int
    """What it costs at most, if something is `counted`: how much that is depends on what was used before."""
    prices: "Prices"
    tariff: Tariff
    units: Exact
    applied: Applied
    counted: int = 0
    """What it adds to what the account uses of the meter in the period, in millionths of the meter's own unit."""

    def credits_after(self, counted: int) -> int:
        """Tell what it costs once so much was used in the period."""
        if not self.counted:
            return self.credits
        return self.prices.rounded(self.tariff.cost(self.units, self.applied, self.tariff.before(counted)))

    def rules_after(self, counted: int) -> list[str]:
        """Say in words which rules make the price, in the order in which they apply."""
        return explained(self.tariff, self.units, self.applied, self.tariff.before(counted))


class Prices:
    """Rates usage by a book. Raises PriceBookError when it is made of a book that cannot be used."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self.version = book.version
        self.rounded = ROUND[book.rounding]
        """Rounds to whole micro-credits, as the book says."""
        self._tariffs = {name: Tariff(name, meter) for name, meter in book.meters.items()}
        self.counting = [name for name, tariff in self._tariffs.items() if tariff.counts]
        """Meters whose prices depend on what was used before."""

    def rate(self, meter: str, quantity: int | Decimal, properties: dict[str, PropertyValue]) -> Rating:
        """Price a usage. Raises UnknownMeterError, UnratableUsageError."""
        tariff = self._tariffs.get(meter)
        if tariff is None:
            raise UnknownMeterError(f'the price book has no meter "{meter[:100]}"')
        applied = tariff.applied(properties)
        units = tariff.units(quantity)
        counted = tariff.counted(units, applied)
        cost = tariff.most(units, applied) if counted else tariff.cost(units, applied)
        credits = cost if isinstance(cost, int) else self.rounded(cost)
        if credits > LARGEST:
            raise UnratableUsageError("this usage costs more than an account can hold")
        return Rating(credits, self, tariff, units, applied, counted)
