"""The catalogue: one file that describes what a deployment sells and by which rules.

Read at start by payments (packs, prices) and credits (welcome bonus, burn order, price book, limits, activities).
Promo codes are the database's, which `scrip catalogue apply` brings to what the file says.
"""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .credits import MICRO, Credits
from .discounts import Loyalty, VolumeStep, check_steps
from .events.payments_v1 import LotKind
from .http.limits_v1 import UncoveredUsage
from .money import Currency, Money, chargeable, smallest_charge
from .price_book import PriceBook, Section, Slug
from .promo_codes import Days, PromoCode

PositiveCredits = Annotated[Credits, Field(gt=0)]
ProductName = Annotated[str, Field(min_length=1, max_length=200)]
"""What people see of something that is sold, on receipts and at Stripe too."""
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
    name: ProductName
    credits: PositiveCredits
    bonus: Annotated[Credits, Field(ge=0)] = 0
    bonus_kind: LotKind = "purchased"
    prices: Annotated[list[Money], Field(min_length=1)]
    expires_after_days: Days | None = None
    """How many days after the payment its credits expire; never, if it is not said."""
    bonus_expires_after_days: Days | None = None
    """How many days after the payment the bonus expires; as the pack's credits do, if it is not said."""

    @model_validator(mode="after")
    def _it_can_be_sold(self) -> Self:
        _check_prices(f"pack {self.id}", self.prices)
        if self.bonus_expires_after_days is not None and (self.bonus_kind == "purchased" or not self.bonus):
            raise ValueError(f"pack {self.id}: only a bonus of another kind than purchased expires on its own")
        return self


class GiftCardProduct(Section):
    """A gift card that can be bought for somebody, with a price per currency."""

    id: Slug
    name: ProductName
    credits: PositiveCredits
    prices: Annotated[list[Money], Field(min_length=1)]
    expires_after_days: Days | None = None
    """How many days after it is redeemed its credits expire; never, if it is not said."""

    @model_validator(mode="after")
    def _it_can_be_sold(self) -> Self:
        _check_prices(f"gift card {self.id}", self.prices)
        return self


class CustomAmount(Section):
    """Any number of credits at a price each; the sum is rounded up to a whole minor unit."""

    per_credit: Annotated[list[Money], Field(min_length=1)]
    minimum: PositiveCredits
    maximum: PositiveCredits
    volume: Annotated[list[VolumeStep], Field(max_length=50)] = Field(default_factory=list)
    """Discounts for many credits, the smallest step first."""
    bonus_kind: LotKind = "purchased"
    """Of which kind bonus credits are that a step gives."""
    expires_after_days: Days | None = None
    """How many days after the payment the credits expire; never, if it is not said."""

    @model_validator(mode="after")
    def _prices_and_limits_make_sense(self) -> Self:
        if any(price.amount_minor <= 0 for price in self.per_credit):
            raise ValueError("custom_amount: a credit costs more than nothing")
        if len({price.currency for price in self.per_credit}) != len(self.per_credit):
            raise ValueError("custom_amount: one price per currency")
        if self.minimum > self.maximum:
            raise ValueError("custom_amount: the minimum is above the maximum")
        check_steps(self.volume, maximum=self.maximum)
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


class Enforcement(Section):
    """When services are to hold before they work, and what comes of usage that no credits cover."""

    holds_below: Annotated[Credits, Field(ge=0)] | None = None
    """Services are told to hold first while an account can spend less than this."""
    holds_minutes_ahead: Annotated[int, Field(ge=1, le=24 * 60)] | None = None
    """The same while it can spend less than it would in so many minutes, as fast as in its last hour."""
    uncovered_usage: UncoveredUsage = "reject"
    """It is rejected and kept, beyond the overdraft; with `block_holds` nothing is held either until it is covered."""


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


class PaymentRefundPolicy(Section):
    """What becomes of credits when the money that paid for them goes back."""

    credits: Literal["take_back", "keep"] = "take_back"
    """Whether they go back with the money; as it was when they were bought."""
    spent: Literal["debt", "block", "rest"] = "debt"
    """Of those spent already: they become a debt; nothing is refunded; or no more money than pays for the rest."""


class Policies(Section):
    """What a deployment allows."""

    customer_refunds: bool = False
    """Whether a customer may refund his own purchases; staff always may."""
    customer_refund_days: Days | None = None
    """How many days after the payment a customer may; at any time, if it is not said."""
    transfers: TransferPolicy | None = None
    """Whether customers may give credits to other accounts; absent, they may not."""
    charge_refund: ChargeRefundPolicy = ChargeRefundPolicy()
    payment_refund: PaymentRefundPolicy = PaymentRefundPolicy()
    early_fraud_warning: Literal["tell", "refund"] = "tell"
    """What comes of an issuer's suspicion: it is told, or what is left of the payment is refunded before a dispute.

    Then what is spent becomes a debt, whatever `payment_refund` says.
    """
    capture_above_hold: bool = False
    """Whether a capture may burn more than its hold reserves, of what is available and the limits let be charged."""
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
    loyalty: Loyalty | None = None
    promo_codes: list[PromoCode] = Field(default_factory=list)
    gift_cards: list[GiftCardProduct] = Field(default_factory=list)
    price_book: PriceBook
    policies: Policies = Policies()
    limits: Limits = Limits()
    low_balance: LowBalance = LowBalance()
    enforcement: Enforcement = Enforcement()
    activities: dict[Slug, Activity] = Field(default_factory=dict)

    @classmethod
    def of(cls, document: object) -> Self:
        """Take a parsed file, by JSON's rules: credits written without quotes are an error, not micro-credits.

        Raises ValueError (pydantic's), which names each place.
        """
        return cls.model_validate_json(json.dumps(document, default=str))  # YAML has read times already

    @model_validator(mode="after")
    def _packs_are_told_apart(self) -> Self:
        if len({pack.id for pack in self.packs}) != len(self.packs):
            raise ValueError("two packs have the same id")
        return self

    @model_validator(mode="after")
    def _promo_codes_are_told_apart_and_for_what_is_sold(self) -> Self:
        if len({promo.code for promo in self.promo_codes}) != len(self.promo_codes):
            raise ValueError("two promo codes are the same, but for upper and lower case")
        for promo in self.promo_codes:
            if unknown := set(promo.packs or []) - {pack.id for pack in self.packs}:
                raise ValueError(f"promo code {promo.code}: there is no pack {min(unknown)}")
        return self

    @model_validator(mode="after")
    def _gift_cards_are_told_apart(self) -> Self:
        if len({card.id for card in self.gift_cards}) != len(self.gift_cards):
            raise ValueError("two gift cards have the same id")
        return self

    def pack(self, id: str) -> Pack | None:
        """Find a pack by its id."""
        return next((pack for pack in self.packs if pack.id == id), None)


def price_in(prices: list[Money], currency: Currency) -> Money | None:
    """Find the price in a currency."""
    return next((price for price in prices if price.currency == currency), None)


def _check_prices(what: str, prices: list[Money]) -> None:
    """See that Stripe can charge each, and that there is one per currency. Raises ValueError."""
    for price in prices:
        least = Money(amount_minor=smallest_charge(price.currency), currency=price.currency)
        if not chargeable(price.amount_minor, price.currency) or price.amount_minor < least.amount_minor:
            raise ValueError(f"{what}: Stripe cannot charge {price}; the least is {least}")
    if len({price.currency for price in prices}) != len(prices):
        raise ValueError(f"{what}: one price per currency")
