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
    tariff: Tariff
    units: Exact
    applied: Applied

    @property
    def rules(self) -> list[str]:
        """Say in words which rules made the price, in the order in which they apply."""
        return explained(self.tariff, self.units, self.applied)


class Prices:
    """Rates usage by a book. Raises PriceBookError when it is made of a book that cannot be used."""

    def __init__(self, book: PriceBook) -> None:
        self.version = book.version
        self._round = ROUND[book.rounding]
        self._tariffs = {name: Tariff(name, meter) for name, meter in book.meters.items()}

    def rate(self, meter: str, quantity: int | Decimal, properties: dict[str, PropertyValue]) -> Rating:
        """Price a usage. Raises UnknownMeterError, UnratableUsageError."""
        tariff = self._tariffs.get(meter)
        if tariff is None:
            raise UnknownMeterError(f'the price book has no meter "{meter[:100]}"')
        applied = tariff.applied(properties)
        units = tariff.units(quantity)
        cost = tariff.cost(units, applied)
        credits = cost if isinstance(cost, int) else self._round(cost)
        if credits > LARGEST:
            raise UnratableUsageError("this usage costs more than an account can hold")
        return Rating(credits, tariff, units, applied)
