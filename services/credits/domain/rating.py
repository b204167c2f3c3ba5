"""Rating: what a usage costs, by the price book."""

from decimal import ROUND_CEILING, Decimal

from libs.contracts.catalogue import Meter, Price, PriceBook
from libs.contracts.credits import LARGEST
from libs.contracts.events.usage_v1 import PropertyValue
from services.credits.domain.errors import UnknownMeterError, UnratableUsageError


def rate(book: PriceBook, meter: str, quantity: int | Decimal, properties: dict[str, PropertyValue]) -> int:
    """Price a usage in whole micro-credits, rounded up: a part of a micro-credit is never given away.

    The first price whose conditions all hold is taken. Raises UnknownMeterError, UnratableUsageError.
    """
    found = book.meters.get(meter)
    if found is None:
        raise UnknownMeterError(f'the price book has no meter "{meter[:100]}"')
    for price in found.prices:
        if _fits(price, properties):
            cost = quantity * price.credits if isinstance(quantity, int) else _cost(found, price, quantity)
            if cost > LARGEST:
                raise UnratableUsageError("this usage costs more than an account can hold")
            return cost
    raise UnratableUsageError(f'no price of "{meter[:100]}" fits these properties')


def _fits(price: Price, properties: dict[str, PropertyValue]) -> bool:
    for name, value in price.when.items():  # noqa: SIM110 - `all` takes three times as long
        if properties.get(name) != value:
            return False
    return True


def _cost(meter: Meter, price: Price, quantity: Decimal) -> int:
    if meter.whole_units:
        return int(quantity.to_integral_value(ROUND_CEILING)) * price.credits
    return int((quantity * price.credits).to_integral_value(ROUND_CEILING))
