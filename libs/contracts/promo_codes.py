"""Promo codes: what a code gives, to whom, how often and for what, as the catalogue writes it."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AwareDatetime, Field, StrictBool, StrictInt, StringConstraints, model_validator

from .credits import MICRO, RequestedCredits
from .events.payments_v1 import LotKind
from .ids import AccountId
from .money import Money, chargeable
from .price_book import Section, Slug

PromoCodeName = Annotated[
    str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9_-]{3,40}$")
]
"""A code as people type it; it is kept in upper case."""
Days = Annotated[StrictInt, Field(ge=1, le=36500)]
Times = Annotated[StrictInt, Field(ge=1, le=10**9)]


class PercentOff(Section):
    """A share of the price off. Of the whole price nothing would be left to charge."""

    kind: Literal["percent"]
    percent: Annotated[StrictInt, Field(ge=1, le=99)]


class AmountOff(Section):
    """An amount of money off, in each currency in which the code can be used."""

    kind: Literal["amount"]
    amounts: Annotated[list[Money], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _amounts_can_be_taken_off(self) -> Self:
        _one_per_currency("amounts", self.amounts)
        for amount in self.amounts:
            if not chargeable(amount.amount_minor, amount.currency):
                raise ValueError(f"Stripe cannot move {amount}, so it cannot be taken off a price")
        return self


class BonusCredits(Section):
    """Credits on top of what is bought."""

    kind: Literal["bonus_credits"]
    credits: Annotated[RequestedCredits, Field(le=10**9 * MICRO)]
    lot: LotKind = "promotional"
    """Of which kind they are."""
    expires_after_days: Days | None = None
    """How many days after the payment they expire; never, if it is not said."""

    @model_validator(mode="after")
    def _bought_credits_do_not_expire(self) -> Self:
        if self.lot == "purchased" and self.expires_after_days is not None:
            raise ValueError("bonus credits of the kind purchased are part of what is bought, and cannot expire")
        return self


class FreeTrial(Section):
    """Days of a plan for nothing. It is of no use for a one-time purchase."""

    kind: Literal["free_trial"]
    days: Annotated[StrictInt, Field(ge=1, le=730)]


Discount: TypeAlias = PercentOff | AmountOff
Gift: TypeAlias = Discount | BonusCredits | FreeTrial


class PromoTerms(Section):
    """What a code gives, and what holds for its use."""

    gives: Annotated[Gift, Field(discriminator="kind")]
    total_limit: Times | None = None
    """How often it can be redeemed by all together; without end, if it is not said."""
    per_account: Times = 1
    """How often by one account."""
    new_customers_only: StrictBool = False
    """Whether only accounts may use it that have paid for nothing before."""
    accounts: Annotated[list[AccountId], Field(min_length=1, max_length=10_000)] | None = None
    """The accounts that may use it; all, if they are not listed."""
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    """From when on it cannot be used any more."""
    minimum: Annotated[list[Money], Field(max_length=200)] = Field(default_factory=list)
    """What a purchase has to cost at least, before the discount; if it is said, only in these currencies."""
    packs: list[Slug] | None = None
    """The packs that can be bought with it; all, if they are not listed."""
    custom_amounts: StrictBool = True
    """Whether amounts of one's own choice can be bought with it."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _one_per_currency("minimum", self.minimum)
        if any(least.amount_minor <= 0 for least in self.minimum):
            raise ValueError("minimum: a purchase costs more than nothing anyway")
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("ends_at: it ends before it starts")
        if self.packs == [] and not self.custom_amounts:
            raise ValueError("packs: there is nothing that could be bought with it")
        return self


class PromoCode(PromoTerms):
    """A code and its terms."""

    code: PromoCodeName


def _one_per_currency(field: str, amounts: list[Money]) -> None:
    if len({amount.currency for amount in amounts}) != len(amounts):
        raise ValueError(f"{field}: one amount per currency")
