"""A meter of the book, compiled: which rules hold for a usage, and what it costs by them."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from libs.contracts.credits import format_credits
from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.price_book import AddOn, Meter, Outcome, Price, Surcharge
from services.credits.domain.errors import UnratableUsageError
from services.credits.domain.pricing.conditions import compile_conditions, words
from services.credits.domain.pricing.coverage import check_coverage
from services.credits.domain.pricing.properties import Declared
from services.credits.domain.pricing.rounding import Exact, billed_units, percent
from services.credits.domain.pricing.tiers import Ladder, Part

MILLION = 1_000_000
_MOST_REMEMBERED = 4096
"""Combinations of values for which it is known which rules hold: resolutions and qualities, hardly ever ids."""


class Applied(NamedTuple):
    """The rules that hold for some properties."""

    price: Price
    ladder: Ladder | None
    """Where the price depends on what was used before."""
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
        self.counts = bool(meter.allowance) or any(price.tiers for price in meter.prices)
        """Whether it is counted what an account uses of it."""
        self._per = int(meter.billing.per * MILLION)
        self._rules: list[Any] = [*meter.prices, *meter.surcharges, *meter.add_ons, *meter.outcomes]
        places = [
            ("meters", name, kind, number)
            for kind in ("prices", "surcharges", "add_ons", "outcomes")
            for number in range(len(getattr(meter, kind)))
        ]
        conditions = [(place, rule.when) for place, rule in zip(places, self._rules, strict=True)]
        self._holding = compile_conditions(meter.properties, conditions)
        check_coverage(("meters", name), meter)
        said = words(rule.when for rule in self._rules)
        self._asked = [name for name in meter.properties if name in said]
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
            Ladder(price, self.meter.allowance) if self.counts else None,
            surcharges,
            add_ons,
            next((rule for rule in holds if isinstance(rule, Outcome)), None),
            percent=max(0, 100 + sum(surcharge.percent for surcharge in surcharges)),
            once=sum(add_on.credits for add_on in add_ons if add_on.each == "event"),
            for_each_unit=sum(add_on.credits for add_on in add_ons if add_on.each == "unit"),
        )

    def counted(self, units: Exact, applied: Applied) -> int:
        """Tell what so many billed units add to what was used in the period: in millionths of the meter's own unit."""
        if not self.counts or (applied.outcome is not None and not applied.outcome.percent):
            return 0
        return int(units * self._per)

    def before(self, counted: int) -> Exact:
        """Tell how many billed units were used before, by what they added."""
        whole, rest = divmod(counted, self._per)
        return Fraction(counted, self._per) if rest else whole

    def parts(self, units: Exact, applied: Applied, before: Exact) -> list[Part]:
        """Divide billed units, which follow others of the same period, by what each costs."""
        if applied.ladder is None:
            return [Part(units, applied.price.credits)]
        return applied.ladder.parts(before, units)

    def cost(self, units: Exact, applied: Applied, before: Exact = 0) -> Exact:
        """Tell what billed units cost, in micro-credits, to the last part of one."""
        if applied.ladder is None:
            return self._whole_cost(units * (applied.price.credits or 0), units, applied)
        paid = [part for part in applied.ladder.parts(before, units) if part.credits is not None]
        return self._whole_cost(
            sum(part.units * (part.credits or 0) for part in paid), sum(part.units for part in paid), applied
        )

    def most(self, units: Exact, applied: Applied) -> Exact:
        """Tell what billed units cost at most, whatever was used before."""
        dearest = applied.ladder.dearest if applied.ladder is not None else applied.price.credits or 0
        return self._whole_cost(units * dearest, units, applied)

    def _whole_cost(self, cost: Exact, units: Exact, applied: Applied) -> Exact:
        if applied.surcharges:
            cost = percent(cost, applied.percent)
        if applied.add_ons:
            cost += units * applied.for_each_unit + applied.once
        if applied.outcome is not None:
            cost = percent(cost, applied.outcome.percent)
        return max(cost, self.meter.minimum) if cost else cost


def explained(tariff: Tariff, units: Exact, applied: Applied, before: Exact) -> list[str]:
    """Say in words which rules made a price."""
    unit = tariff.meter.unit
    said = [
        f"{part.units} {unit} free"
        if part.credits is None
        else f"{part.units} {unit} at {format_credits(part.credits)}"
        for part in tariff.parts(units, applied, before)
    ]
    if applied.price.when:
        said[-1] += f" ({applied.price.when})"
    said += [f"{rule.name}: {rule.percent:+d} %" for rule in applied.surcharges]
    said += [
        f"{rule.name}: +{format_credits(rule.credits)}{' a unit' if rule.each == 'unit' else ''}"
        for rule in applied.add_ons
    ]
    if applied.outcome is not None:
        said.append(f"{applied.outcome.name}: {applied.outcome.percent} % is charged")
    return said
