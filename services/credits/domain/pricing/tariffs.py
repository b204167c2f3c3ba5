"""A meter of the book, compiled: which rules hold for a usage, and what it costs by them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from libs.contracts.credits import format_credits
from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.price_book import AddOn, Meter, Outcome, Price, Surcharge
from services.credits.domain.errors import UnratableUsageError
from services.credits.domain.pricing.conditions import compile_conditions
from services.credits.domain.pricing.properties import Declared
from services.credits.domain.pricing.rounding import Exact, billed_units, percent

_MOST_REMEMBERED = 4096
"""Combinations of values for which it is known which rules hold: resolutions and qualities, hardly ever ids."""
_WORD = re.compile("[a-z][a-z0-9_]*")


class Applied(NamedTuple):
    """The rules that hold for some properties."""

    price: Price
    surcharges: Sequence[Surcharge]
    add_ons: Sequence[AddOn]
    outcome: Outcome | None
    percent: int
    """What is charged of the price."""
    once: int
    """What is added for the event, in micro-credits."""
    for_each_unit: int
    """What is added for each billed unit, in micro-credits."""


class Tariff:
    """Rates the usage of one meter. Raises PriceBookError when it is made of a meter that cannot be."""

    def __init__(self, name: str, meter: Meter) -> None:
        self.meter = meter
        self._name = name
        self._declared = Declared(meter.properties)
        self.units = billed_units(meter.billing)
        """Turns a quantity into billed units."""
        self._rules: list[Any] = [*meter.prices, *meter.surcharges, *meter.add_ons, *meter.outcomes]
        places = [
            ("meters", name, kind, number)
            for kind in ("prices", "surcharges", "add_ons", "outcomes")
            for number in range(len(getattr(meter, kind)))
        ]
        conditions = [(place, rule.when) for place, rule in zip(places, self._rules, strict=True)]
        self._holding = compile_conditions(meter.properties, conditions)
        words = set(_WORD.findall(" ".join(rule.when or "" for rule in self._rules)))
        self._asked = [name for name in meter.properties if name in words]
        self._remembered: dict[tuple[PropertyValue, ...], Applied] = {}

    def applied(self, properties: Mapping[str, PropertyValue]) -> Applied:
        """Find the rules that hold. Raises UnratableUsageError: properties that may not be so, or fit no price."""
        try:
            values = self._declared.completed(properties)
            asked = tuple([values[name] for name in self._asked])
            if (found := self._remembered.get(asked)) is None:
                found = self._find(self._holding(values))
                if len(self._remembered) < _MOST_REMEMBERED:
                    self._remembered[asked] = found
        except ValueError as error:
            raise UnratableUsageError(f'"{self._name[:100]}": {error}') from error
        return found

    def _find(self, holding: int) -> Applied:
        holds = [rule for bit, rule in enumerate(self._rules) if holding >> bit & 1]
        price = next((rule for rule in holds if isinstance(rule, Price)), None)
        if price is None:
            raise UnratableUsageError(f'no price of "{self._name[:100]}" fits these properties')
        surcharges = [rule for rule in holds if isinstance(rule, Surcharge)]
        add_ons = [rule for rule in holds if isinstance(rule, AddOn)]
        return Applied(
            price,
            surcharges,
            add_ons,
            next((rule for rule in holds if isinstance(rule, Outcome)), None),
            percent=max(0, 100 + sum(surcharge.percent for surcharge in surcharges)),
            once=sum(add_on.credits for add_on in add_ons if add_on.each == "event"),
            for_each_unit=sum(add_on.credits for add_on in add_ons if add_on.each == "unit"),
        )

    def cost(self, units: Exact, applied: Applied) -> Exact:
        """Tell what so many billed units cost, in micro-credits, to the last part of one."""
        cost: Exact = units * applied.price.credits
        if applied.surcharges:
            cost = percent(cost, applied.percent)
        if applied.add_ons:
            cost += units * applied.for_each_unit + applied.once
        if applied.outcome is not None:
            cost = percent(cost, applied.outcome.percent)
        return max(cost, self.meter.minimum) if cost else cost


def explained(tariff: Tariff, units: Exact, applied: Applied) -> list[str]:
    """Say in words which rules made a price."""
    price = applied.price
    said = [f"{units} {tariff.meter.unit} at {format_credits(price.credits)}"]
    if price.when:
        said[0] += f" ({price.when})"
    said += [f"{rule.name}: {rule.percent:+d} %" for rule in applied.surcharges]
    said += [
        f"{rule.name}: +{format_credits(rule.credits)}{' a unit' if rule.each == 'unit' else ''}"
        for rule in applied.add_ons
    ]
    if applied.outcome is not None:
        said.append(f"{applied.outcome.name}: {applied.outcome.percent} % is charged")
    return said
