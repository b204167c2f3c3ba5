"""The price book: what usage costs. What is written here is checked and rated in credits (`domain/pricing`).

A usage is rated in this order: its quantity in billed units; the first price whose condition holds; surcharges, each a
percentage of that; add-ons; what its outcome leaves of the sum; the minimum charge. Rounded once, at the end.

Allowances and tiers depend on the billed units that the account used before in the same period, whatever their price
was. A usage belongs to the period of its own time (UTC). One of which nothing is charged, by its outcome, uses none.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .credits import Credits
from .events.usage_v1 import LARGEST_QUANTITY, PropertyName, PropertyText

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
MeterName = Annotated[str, Field(min_length=1, max_length=255)]
Condition = Annotated[str, Field(min_length=1, max_length=500)]
"""An expression in CEL over the meter's properties, which is true or false: `resolution == "4k" && seconds > 5`."""
Label = Annotated[str, Field(min_length=1, max_length=100)]
Cost = Annotated[Credits, Field(ge=0)]
Units = Annotated[Decimal, Field(gt=0, le=LARGEST_QUANTITY, decimal_places=6)]
"""Billed units."""
LARGEST_INTEGER = 2**53
MOST_RULES = 50


class Section(BaseModel):
    """A part of the file; a word we do not know is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TextProperty(Section):
    """A text: any, or one of some."""

    type: Literal["text"] = "text"
    values: Annotated[list[PropertyText], Field(min_length=1, max_length=1000)] | None = None
    summed: bool = False
    """Whether usage is summed by its values though they are not listed; it should not have many."""
    default: PropertyText | None = None
    """What an event that does not say it has; without a default every event has to say it."""

    @model_validator(mode="after")
    def _the_default_is_a_value(self) -> Self:
        if self.values is not None and self.default is not None and self.default not in self.values:
            raise ValueError(f'the default "{self.default}" is none of the values')
        return self


class IntegerProperty(Section):
    """A whole number, within bounds."""

    type: Literal["integer"]
    minimum: Annotated[int, Field(ge=-LARGEST_INTEGER)] = 0
    maximum: Annotated[int, Field(le=LARGEST_INTEGER)] = LARGEST_INTEGER
    default: int | None = None

    @model_validator(mode="after")
    def _the_default_is_within_its_bounds(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("the minimum is above the maximum")
        if self.default is not None and not self.minimum <= self.default <= self.maximum:
            raise ValueError(f"the default {self.default} is not between {self.minimum} and {self.maximum}")
        return self


class BooleanProperty(Section):
    """Yes or no."""

    type: Literal["boolean"]
    default: bool | None = None


Property = Annotated[TextProperty | IntegerProperty | BooleanProperty, Field(discriminator="type")]


class Billing(Section):
    """How a quantity becomes billed units: seconds by the minute are `{per: "60"}`, started ones `rounding: up` too."""

    per: Units = Decimal(1)
    """So much of the meter's own unit is one billed unit."""
    rounding: Literal["exact", "up", "down", "nearest"] = "exact"
    """Whether parts of a billed unit count: exactly, as a whole one, not at all, or as a whole one from half on."""


class Tier(Section):
    """What a billed unit costs up to a number of them."""

    upto: Units | None = None
    """The last one it holds for; without it, for all that follow."""
    credits: Cost


class Tiers(Section):
    """A price that depends on how many billed units the account uses in a period."""

    mode: Literal["graduated", "volume"]
    """`graduated`: each unit costs what its own tier says. `volume`: all units of a usage cost what the tier says that
    the period's units reach with it; what was charged before stays."""
    steps: Annotated[list[Tier], Field(min_length=1, max_length=MOST_RULES)]

    @model_validator(mode="after")
    def _they_follow_each_other(self) -> Self:
        *before, last = self.steps
        if last.upto is not None:
            raise ValueError(f"what lies above {last.upto} has no price: the last tier has no `upto`")
        bounds = [tier.upto for tier in before]
        for number, bound in enumerate(bounds, 1):
            if bound is None:
                raise ValueError(f"tier {number} has no `upto`, and overlaps with those that follow it")
            below = bounds[number - 2] if number > 1 else None
            if below is not None and bound <= below:
                raise ValueError(f"tier {number} overlaps with the one before: {bound} is not above {below}")
        return self


class Price(Section):
    """What a billed unit costs where the condition holds: always the same, or by tiers."""

    when: Condition | None = None
    credits: Cost | None = None
    tiers: Tiers | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.credits is None) == (self.tiers is None):
            raise ValueError("a price has either credits or tiers")
        return self


class Surcharge(Section):
    """A percentage of the price on top, where the condition holds; several add up. A discount is below nothing."""

    name: Label
    when: Condition | None = None
    percent: Annotated[int, Field(ge=-100, le=100_000)]


class AddOn(Section):
    """A fixed number of credits on top, where the condition holds."""

    name: Label
    when: Condition | None = None
    credits: Cost
    each: Literal["event", "unit"] = "event"
    """Whether it is added once, or for every billed unit."""


class Outcome(Section):
    """What is charged of work that ended so, in percent: nothing for a failure, perhaps a tenth for a cached answer."""

    name: Label
    when: Condition
    percent: Annotated[int, Field(ge=0, le=100)]


class Meter(Section):
    """A kind of usage, with the properties that its events may have. Of prices and of outcomes the first holds."""

    unit: Label
    properties: Annotated[dict[PropertyName, Property], Field(max_length=50)] = Field(default_factory=dict)
    billing: Billing = Billing()
    prices: Annotated[list[Price], Field(min_length=1)]
    surcharges: list[Surcharge] = Field(default_factory=list)
    add_ons: list[AddOn] = Field(default_factory=list)
    outcomes: list[Outcome] = Field(default_factory=list)
    minimum: Cost = 0
    """What a usage costs at least, unless it costs nothing."""
    allowance: Annotated[Decimal, Field(ge=0, le=LARGEST_QUANTITY, decimal_places=6)] = Decimal(0)
    """How many billed units of a period are free: no price, no surcharge, no add-on for the unit."""
    period: Literal["day", "month"] = "month"
    """How long an allowance and tiers count, by the calendar."""

    @model_validator(mode="after")
    def _its_rules_can_be_counted(self) -> Self:
        if sum(len(price.tiers.steps) if price.tiers else 1 for price in self.prices) > MOST_RULES:
            raise ValueError(f"a meter has at most {MOST_RULES} prices and tiers")
        if len(self.prices) + len(self.surcharges) + len(self.add_ons) + len(self.outcomes) > MOST_RULES:
            raise ValueError(f"a meter has at most {MOST_RULES} prices, surcharges, add-ons and outcomes")
        return self


class PriceBook(Section):
    """What usage costs; its version stands in every entry that it priced."""

    version: Slug
    rounding: Literal["up", "half_even", "down"] = "up"
    """How a part of a micro-credit is rounded, which is the least that can be charged."""
    meters: dict[MeterName, Meter] = Field(default_factory=dict)
