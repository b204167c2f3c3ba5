"""Insight: where an account's credits went."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from ..credits import Credits
from ..events.usage_v1 import Properties
from ..ids import AccountId
from ..money import Currency
from .base import Answer, Request
from .spending_v1 import MeterName

LONGEST_SUMMARY_DAYS = 400
Grouping = Annotated[str, StringConstraints(pattern=r"^(day|meter|actor|property:[a-z][a-z0-9_]{0,63})$")]


class UsageSpan(Request):
    """Which days."""

    from_: Annotated[date, Field(alias="from")]
    """The first day (UTC)."""
    to: date
    """The last day, included."""

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if not 0 <= (self.to - self.from_).days < LONGEST_SUMMARY_DAYS:
            raise ValueError(f"`to` lies on or after `from`, and at most {LONGEST_SUMMARY_DAYS - 1} days later")
        return self


class UsageQuery(UsageSpan):
    """What a summary of usage is about."""

    by: Grouping = "meter"
    """What is told apart: `day`, `meter`, `actor` (who used it) or a property of a meter, such as `property:model`."""
    meter: MeterName | None = None
    """This kind of usage alone."""


class UsageSum(Answer):
    """What was used of one kind, on one day, by one person: whatever is told apart."""

    key: str | None
    """Which one; null for what was not said, or for charges that name an amount and no meter."""
    usages: int
    """How often."""
    quantity: Decimal | None
    """How much, in the meter's unit; null where several meters are summed."""
    credits: Credits
    """What it cost, less what was given back."""


class UsageSummary(Answer):
    """Where an account's credits went: usage, charges and captured holds, less what charges gave back."""

    account: AccountId
    usages: int
    credits: Credits
    data: list[UsageSum]
    """By day in their order; else the costliest first."""
    as_of: AwareDatetime | None
    """Until when the ledger is summed, some seconds ago; null if nothing is."""


class Forecast(Answer):
    """When an account runs out of credits if it goes on as it did."""

    account: AccountId
    available: Credits
    burnt_per_day: Credits | None
    """On average of the days that are known, today left out; null if there is none."""
    days_known: int
    """How many days that is since it began to burn, at most 56; with fewer than three nothing is foretold."""
    likely: AwareDatetime | None
    """When it runs out: as often earlier as later. Null if that is not within the horizon, or nothing is foretold."""
    earliest: AwareDatetime | None
    latest: AwareDatetime | None
    """Null if it may well last longer than the horizon."""
    confidence_percent: int
    """In how many cases of a hundred it lies between the earliest and the latest."""
    horizon_days: int
    expiring_unused: Credits | None
    """How many credits will likely expire before they are burnt; null if nothing is foretold."""


class SuggestionQuery(Request):
    """Ask how much a hold should reserve."""

    meter: MeterName
    properties: Properties = Field(default_factory=dict)
    """Of the job; those of few values tell jobs apart, as in a summary of usage."""
    percentile: Annotated[int, Field(ge=50, le=100)] = 95
    """It should cover so many jobs in a hundred."""


class HoldSuggestion(Answer):
    """How much a hold should reserve, learned from the last thousand jobs of this kind that were captured."""

    credits: Credits | None
    """Null if fewer than ten are known."""
    learned_from: int
    """How many those were."""
    short_permille: int | None
    """How many in a thousand it would not have covered, each tried against what was known before it."""


class MeterCost(Answer):
    """What usage of a meter cost the operator, as its events said."""

    meter: str
    cost_micros: int


class CurrencyMargin(Answer):
    """What an account earned its operator in one currency, in millionths of its unit."""

    currency: Currency
    revenue_micros: int
    """What was paid for the credits that were burnt, less for those that a refund took back. Gifts earn nothing."""
    cost_micros: int
    """What its usage cost, where that was said."""
    margin_micros: int
    """Revenue less cost."""
    breakage_micros: int
    """What was paid for credits that expired; it is in neither revenue nor margin."""
    transferred_micros: int
    """What was paid for credits that went to other accounts, where they earn nothing any more."""
    cost_by_meter: list[MeterCost]
    """The costliest first."""


class Margin(Answer):
    """What an account earned its operator, and what it cost, both on the ledger's days; for the operator alone."""

    account: AccountId
    data: list[CurrencyMargin]
    """By currency, of what was paid with and what usage cost."""
    as_of: AwareDatetime | None
    """Until when the ledger is summed, some seconds ago; null if nothing is."""


class UnusualDay(Answer):
    """A day on which an account burnt far more than it ever did lately."""

    day: date
    """In UTC."""
    burnt: Credits
    """By the time it was noticed."""
    usual: Credits
    """What it burnt on its busiest days before: more than twice as much is unusual."""
    noticed_at: AwareDatetime


class UnusualDays(Answer):
    """An account's unusual days."""

    data: list[UnusualDay]
    """The newest first, at most a hundred."""
