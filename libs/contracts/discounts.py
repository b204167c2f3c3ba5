"""What buying much brings: volume discounts by the purchase, loyalty tiers by the lifetime, as the catalogue says."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, StrictInt, StringConstraints, model_validator

from .credits import Credits
from .events.payments_v1 import LotKind
from .money import Money
from .price_book import Section, Slug
from .promo_codes import Days


class Benefit(Section):
    """A share of the price off, or a share of the credits on top. Exactly one of both."""

    percent_off: Annotated[StrictInt, Field(ge=1, le=99)] | None = None
    bonus_percent: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _gives_one_thing(self) -> Self:
        if (self.percent_off is None) == (self.bonus_percent is None):
            raise ValueError("either percent_off or bonus_percent")
        return self


class VolumeStep(Benefit):
    """What a purchase of so many credits brings, for all of its credits."""

    from_credits: Annotated[Credits, Field(gt=0)]
    """From how many on, the bonus not counted."""


class LoyaltyTier(Benefit):
    """What an account's purchases bring once it has spent enough."""

    id: Slug
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """What people see of it, on receipts too."""
    from_spend: Annotated[list[Money], Field(min_length=1, max_length=200)]
    """The lifetime spend from which on it holds, in each currency; one of them is enough."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if any(spend.amount_minor <= 0 for spend in self.from_spend):
            raise ValueError(f"tier {self.id}: it begins at more than nothing")
        if len({spend.currency for spend in self.from_spend}) != len(self.from_spend):
            raise ValueError(f"tier {self.id}: one amount per currency")
        return self


class Loyalty(Section):
    """Tiers by lifetime spend, the lowest first. Spend is what was paid, less what went back."""

    tiers: Annotated[list[LoyaltyTier], Field(min_length=1, max_length=50)]
    bonus_kind: LotKind = "promotional"
    """Of which kind bonus credits are."""
    bonus_expires_after_days: Days | None = None
    """How many days after the payment they expire; never, if it is not said."""

    @model_validator(mode="after")
    def _each_tier_is_above_the_one_before(self) -> Self:
        if len({tier.id for tier in self.tiers}) != len(self.tiers):
            raise ValueError("loyalty: two tiers have the same id")
        reached: dict[str, int] = {}
        for tier in self.tiers:
            for spend in tier.from_spend:
                if spend.amount_minor <= reached.get(spend.currency, 0):
                    raise ValueError(f"tier {tier.id}: {spend} is not above the tier before")
                reached[spend.currency] = spend.amount_minor
        return self

    @model_validator(mode="after")
    def _bought_credits_expire_as_what_is_bought(self) -> Self:
        if self.bonus_kind == "purchased" and self.bonus_expires_after_days is not None:
            raise ValueError("loyalty: bonus credits of the kind purchased expire as what is bought")
        return self


def check_steps(steps: list[VolumeStep], *, maximum: int) -> None:
    """See that each step is above the one before, gives more of the same, and can be reached. Raises ValueError."""
    if any(step.from_credits > maximum for step in steps):
        raise ValueError("custom_amount: a volume step begins above the maximum")
    for before, step in pairwise(steps):
        if step.from_credits <= before.from_credits:
            raise ValueError("custom_amount: a volume step does not begin above the one before")
        less, more = before.percent_off or before.bonus_percent or 0, step.percent_off or step.bonus_percent or 0
        if (before.percent_off is None) != (step.percent_off is None) or less >= more:
            raise ValueError("custom_amount: a volume step does not give more of the same than the one before")
