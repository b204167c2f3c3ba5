"""The catalogue: one file that describes what a deployment sells and by which rules.

Read at start by payments (packs, prices) and credits (welcome bonus, burn order, price book, limits, activities).
"""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .credits import MICRO, Credits
from .events.payments_v1 import LotKind
from .money import Currency, Money, chargeable
from .price_book import PriceBook, Section, Slug

PositiveCredits = Annotated[Credits, Field(gt=0)]
LONGEST_HOLD_SECONDS = 366 * 24 * 60 * 60


class Unit(Section):
    """What one credit is called."""

    singular: str = "credit"
    plural: str = "credits"


class WelcomeBonus(Section):
    """What a new account is given, once."""

    credits: PositiveCredits
    kind: LotKind = "promotional"


class Pack(Section):
    """A one-time bundle of credits, with a price per currency."""

    id: Slug
    name: str
    credits: PositiveCredits
    bonus: Annotated[Credits, Field(ge=0)] = 0
    bonus_kind: LotKind = "purchased"
    prices: Annotated[list[Money], Field(min_length=1)]

    @model_validator(mode="after")
    def _prices_can_be_charged(self) -> Self:
        for price in self.prices:
            if not chargeable(price.amount_minor, price.currency):
                raise ValueError(f"pack {self.id}: Stripe cannot charge {price}")
        if len({price.currency for price in self.prices}) != len(self.prices):
            raise ValueError(f"pack {self.id}: one price per currency")
        return self


class CustomAmount(Section):
    """Any number of credits at a price each; the sum is rounded up to a whole minor unit."""

    per_credit: Annotated[list[Money], Field(min_length=1)]
    minimum: PositiveCredits
    maximum: PositiveCredits

    @model_validator(mode="after")
    def _prices_and_limits_make_sense(self) -> Self:
        if any(price.amount_minor <= 0 for price in self.per_credit):
            raise ValueError("custom_amount: a credit costs more than nothing")
        if len({price.currency for price in self.per_credit}) != len(self.per_credit):
            raise ValueError("custom_amount: one price per currency")
        if self.minimum > self.maximum:
            raise ValueError("custom_amount: the minimum is above the maximum")
        return self


class RunawayGuard(Section):
    """Who would spend more within an hour is stopped, and people are told."""

    account_per_hour: PositiveCredits | None = None
    """What an account may spend within an hour."""
    actor_per_hour: PositiveCredits | None = None
    """What one user or API key may spend of an account within an hour."""
    resume_after_minutes: Annotated[int, Field(ge=1, le=60 * 24 * 30)] | None = None
    """When a stop ends by itself; by hand alone, if it is absent."""


class Limits(Section):
    """How much, how often. What is absent is not limited."""

    minimum_purchase: PositiveCredits | None = None
    maximum_balance: PositiveCredits | None = None
    """What an account may have after a purchase; checked before it, never after."""
    maximum_per_transaction: PositiveCredits | None = None
    transactions_per_day: Annotated[int, Field(ge=1)] | None = None
    """How many charges, holds and transfers an account may make in a day (UTC)."""
    usage_counts: bool = False
    """Whether usage events are transactions too, for the two limits above."""
    runaway: RunawayGuard = RunawayGuard()
    staff_grant: PositiveCredits | None = None
    """What one of the staff may grant in one go; more needs a second person."""

    @property
    def limit_purchases(self) -> bool:
        """Tell whether anything of this has to be asked before somebody may buy."""
        return any((self.minimum_purchase, self.maximum_balance, self.maximum_per_transaction))


class LowBalance(Section):
    """When an account is told that it has little left."""

    threshold: Annotated[Credits, Field(ge=0)] = 10 * MICRO
    """An account that has less is low, unless it has a threshold of its own."""


class Activity(Section):
    """Something that earns credits."""

    credits: PositiveCredits
    description: Annotated[str, Field(min_length=1, max_length=200)]
    kind: LotKind = "granted"
    expires_after_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    per_account: Annotated[int, Field(ge=1)] | None = None
    """How often an account may earn by it, ever."""
    per_account_and_day: Annotated[int, Field(ge=1)] | None = None
    """How often an account may earn by it in a day (UTC)."""


class TransferPolicy(Section):
    """How credits may change hands."""

    maximum: PositiveCredits
    """The most that one transfer may move."""


class ChargeRefundPolicy(Section):
    """What becomes of credits that a refund of a charge gives back."""

    comes_back: Literal["to_its_lots", "as_new_lot"] = "to_its_lots"
    """To the very lots that the charge burnt, but for those that have expired; or all as one `refunded` lot."""
    expires_after_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    """After how many days such a `refunded` lot expires; never, if it is not said."""


class Policies(Section):
    """What a deployment allows."""

    customer_refunds: bool = False
    """Whether a customer may refund his own purchases; staff always may."""
    transfers: TransferPolicy | None = None
    """Whether customers may give credits to other accounts; absent, they may not."""
    charge_refund: ChargeRefundPolicy = ChargeRefundPolicy()
    capture_above_hold: bool = False
    """Whether a capture may burn more than its hold reserves, of what is available."""
    hold_seconds: Annotated[int, Field(gt=0)] = 15 * 60
    """How long a hold lives that does not say so."""
    longest_hold_seconds: Annotated[int, Field(gt=0, le=LONGEST_HOLD_SECONDS)] = 24 * 60 * 60
    """How long a hold lives at most, however often it is extended."""

    @model_validator(mode="after")
    def _a_hold_may_live_as_long_as_it_does(self) -> Self:
        if self.hold_seconds > self.longest_hold_seconds:
            raise ValueError("policies: hold_seconds is more than longest_hold_seconds")
        return self

    overdraft: Annotated[Credits, Field(ge=0)] = 0
    """How far below nothing an account may spend, unless it has a limit of its own."""
    expiry_warning_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How many days before credits expire their owner is told; none if 0."""


class Catalogue(Section):
    """The whole file."""

    name: Slug
    unit: Unit = Unit()
    burn_order: Literal["priority", "fifo"] = "priority"
    welcome_bonus: WelcomeBonus | None = None
    packs: list[Pack] = Field(default_factory=list)
    custom_amount: CustomAmount | None = None
    price_book: PriceBook
    policies: Policies = Policies()
    limits: Limits = Limits()
    low_balance: LowBalance = LowBalance()
    activities: dict[Slug, Activity] = Field(default_factory=dict)

    @classmethod
    def of(cls, document: object) -> Self:
        """Take a parsed file, by JSON's rules: credits written without quotes are an error, not micro-credits.

        Raises ValueError (pydantic's), which names each place.
        """
        return cls.model_validate_json(json.dumps(document))

    @model_validator(mode="after")
    def _packs_are_told_apart(self) -> Self:
        if len({pack.id for pack in self.packs}) != len(self.packs):
            raise ValueError("two packs have the same id")
        return self

    def pack(self, id: str) -> Pack | None:
        """Find a pack by its id."""
        return next((pack for pack in self.packs if pack.id == id), None)


def price_in(prices: list[Money], currency: Currency) -> Money | None:
    """Find the price in a currency."""
    return next((price for price in prices if price.currency == currency), None)
