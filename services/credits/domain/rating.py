"""Rating: what a usage costs, by the price book."""

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from libs.contracts.catalogue import Meter, Price, PriceBook
from libs.contracts.credits import LARGEST
from libs.contracts.events.usage_v1 import PropertyValue
from services.credits.domain.errors import UnknownMeterError, UnratableUsageError


class Rating(NamedTuple):
    """What a usage costs in micro-credits, and by which version of the price book."""

    credits: int
    price_version: str


def rate(book: PriceBook, meter: str, quantity: Decimal, properties: dict[str, PropertyValue]) -> Rating:
    """Price a usage in whole micro-credits, rounded up: a part of a micro-credit is never given away.

    The first price whose conditions all hold is taken. Raises UnknownMeterError, UnratableUsageError.
    """
    found = book.meters.get(meter)
    if found is None:
        raise UnknownMeterError(f'the price book has no meter "{meter[:100]}"')
    for price in found.prices:
        if all(properties.get(name) == value for name, value in price.when.items()):
            cost = _cost(found, price, quantity)
            if cost > LARGEST:
                raise UnratableUsageError("this usage costs more than an account can hold")
            return Rating(cost, book.version)
    raise UnratableUsageError(f'no price of "{meter[:100]}" fits these properties')


def _cost(meter: Meter, price: Price, quantity: Decimal) -> int:
    whole = int(quantity)
    if whole == quantity:
        return whole * price.credits
    if meter.whole_units:
        return (whole + 1) * price.credits
    return int((quantity * price.credits).to_integral_value(ROUND_CEILING))
