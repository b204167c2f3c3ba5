"""Whether a meter leaves no case without a price: found out when the book is loaded, not when a usage comes."""

from collections.abc import Sequence
from itertools import product
from math import prod

from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.price_book import BooleanProperty, IntegerProperty, Meter, Property, TextProperty
from services.credits.domain.pricing.conditions import compile_conditions, words
from services.credits.domain.pricing.errors import PriceBookError, Where

_MOST_CASES = 10_000


def check_coverage(where: Where, meter: Meter) -> None:
    """Raise PriceBookError if properties may fit no price, or a price can never be reached."""
    conditions = [price.when for price in meter.prices]
    last = (*where, "prices", len(conditions) - 1)
    if None in conditions:
        if (always := conditions.index(None)) < len(conditions) - 1:
            raise PriceBookError((*where, "prices", always + 1), "the price before always holds: this one never does")
        return
    asked = words(conditions) & meter.properties.keys()
    values = {name: _values(kind) if name in asked else [_any(kind)] for name, kind in meter.properties.items()}
    if prod(len(some) for some in values.values()) > _MOST_CASES or not all(values.values()):
        raise PriceBookError(last, "what fits no condition has no price: let the last price have no condition")
    holding = compile_conditions(meter.properties, [(last, condition) for condition in conditions])
    for case in product(*values.values()):
        properties = dict(zip(values, case, strict=True))
        try:
            held = holding(properties)
        except ValueError:
            held = 0
        if not held:
            said = ", ".join(f"{name}: {value}" for name, value in properties.items() if name in asked)
            raise PriceBookError(last, f"no price holds for {said or 'any usage'}")


def _values(kind: Property) -> Sequence[PropertyValue]:
    """List what a property can be; nothing, if that is more than can be tried."""
    if isinstance(kind, BooleanProperty):
        return [False, True]
    if isinstance(kind, TextProperty):
        return kind.values or []
    return range(kind.minimum, kind.maximum + 1) if kind.maximum - kind.minimum < _MOST_CASES else []


def _any(kind: Property) -> PropertyValue:
    if isinstance(kind, BooleanProperty):
        return False
    return kind.minimum if isinstance(kind, IntegerProperty) else ""
