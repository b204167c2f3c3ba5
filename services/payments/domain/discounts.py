"""Shares of a price and of credits: volume discounts, loyalty tiers. All of it is in whole minor units.

What a purchase costs comes about in this order: list price, volume, loyalty tier, promo code. Each takes its share of
what the one before has left.
"""

from collections.abc import Mapping, Sequence

from libs.contracts.credits import MICRO
from libs.contracts.discounts import Loyalty, LoyaltyTier, VolumeStep
from libs.contracts.events.payments_v1 import DiscountTaken
from libs.contracts.http.payments_v1 import LoyaltyStanding, NextTier, Quote, QuotedBonus, QuotedTier, TierOffer
from libs.contracts.money import Money, smallest_charge, smallest_step


def cost_of(micro: int, per_credit: Money) -> Money:
    """Price micro-credits, rounded up to the next amount that can be charged, so that none is sold below its price.

    That is a whole minor unit, a multiple of ten of a three-decimal currency, a whole unit where there is nothing less.
    It may be more than one payment can carry.
    """
    step = smallest_step(per_credit.currency)
    steps = -(-micro * per_credit.amount_minor // (MICRO * step))
    return Money(amount_minor=steps * step, currency=per_credit.currency)


def bought_with(money: Money, per_credit: Money, *, percent_off: int = 0) -> int:
    """Tell how many micro-credits some money buys, rounded down, so that none is sold below its price."""
    return money.amount_minor * MICRO * 100 // (per_credit.amount_minor * (100 - percent_off))


def after_percent(price: Money, percent: int) -> Money:
    """Take a share off, rounded to the next amount below that can be charged, in the customer's favour.

    He never pays more than his exact share, and less than one such amount below it. It may be nothing.
    """
    step = smallest_step(price.currency)
    left = price.amount_minor * (100 - percent) // (100 * step) * step
    return price.model_copy(update={"amount_minor": left})


def reduced(price: Money, percent: int) -> Money:
    """Take a share off that nobody asked for, and so never leave less than Stripe's smallest charge."""
    least = min(price.amount_minor, smallest_charge(price.currency))
    left = max(after_percent(price, percent).amount_minor, least)
    return price.model_copy(update={"amount_minor": left})


def share_of(micro: int, percent: int) -> int:
    """Tell a share of credits, rounded down to a micro-credit."""
    return micro * percent // 100


def volume_price(micro: int, per_credit: Money, steps: Sequence[VolumeStep]) -> Money:
    """Price micro-credits by the volume step that they reach, and never above what a larger number costs."""
    of_steps = [reduced(cost_of(max(micro, step.from_credits), per_credit), step.percent_off or 0) for step in steps]
    return min([cost_of(micro, per_credit), *of_steps], key=lambda price: price.amount_minor)


def volume_bought(money: Money, per_credit: Money, steps: Sequence[VolumeStep]) -> int:
    """Tell the most micro-credits that some money buys, by the steps whose first amount it can pay."""
    most = bought_with(money, per_credit)
    for step in steps:
        off = step.percent_off or 0
        if money.amount_minor >= reduced(cost_of(step.from_credits, per_credit), off).amount_minor:
            most = max(most, step.from_credits, bought_with(money, per_credit, percent_off=off))
    return most


def volume_bonus(micro: int, steps: Sequence[VolumeStep]) -> int:
    """Tell the bonus by the step that micro-credits reach."""
    return max((share_of(micro, step.bonus_percent or 0) for step in steps if micro >= step.from_credits), default=0)


def discounted(quote: Quote, taken: DiscountTaken) -> Quote:
    """Take an amount off what a quote's discounts have left so far; nothing is no discount."""
    if not taken.amount.amount_minor:
        return quote
    discount = quote.discount + taken.amount
    left = quote.list_price.amount_minor - discount.amount_minor
    price = quote.price.model_copy(update={"amount_minor": left})
    return quote.model_copy(update={"discounts": [*quote.discounts, taken], "discount": discount, "price": price})


def taken_by(quote: Quote, by: str) -> int:
    """Tell how many minor units something took off a quote's list price."""
    return sum(taken.amount.amount_minor for taken in quote.discounts if taken.by == by)


def tier_of(loyalty: Loyalty | None, spend: Mapping[str, int]) -> LoyaltyTier | None:
    """Tell the tier that lifetime spend has reached, in whichever currency."""
    tiers = loyalty.tiers if loyalty else []
    return next((tier for tier in reversed(tiers) if _reached(tier, spend)), None)


def with_tier(quote: Quote, loyalty: Loyalty | None, spend: Mapping[str, int]) -> Quote:
    """Apply the loyalty tier of who spent so much to what an order costs and brings."""
    tier = tier_of(loyalty, spend)
    if loyalty is None or tier is None:
        return quote
    left, bonus = reduced(quote.price, tier.percent_off or 0), None
    if more := share_of(quote.credits, tier.bonus_percent or 0):
        days = loyalty.bonus_expires_after_days
        bonus = QuotedBonus(credits=more, kind=loyalty.bonus_kind, expires_after_days=days)
    off = quote.price.model_copy(update={"amount_minor": quote.price.amount_minor - left.amount_minor})
    named = quote.model_copy(update={"tier": QuotedTier(id=tier.id, name=tier.name, bonus=bonus)})
    return discounted(named, DiscountTaken(by="tier", name=tier.name, amount=off))


def standing(loyalty: Loyalty | None, spend: Mapping[str, int]) -> LoyaltyStanding:
    """Tell which tier lifetime spend has reached, and what is left to the next one."""
    tiers, tier = loyalty.tiers if loyalty else [], tier_of(loyalty, spend)
    above = tiers[tiers.index(tier) + 1 :] if tier else tiers
    return LoyaltyStanding(
        spend=[Money(amount_minor=minor, currency=currency) for currency, minor in sorted(spend.items())],
        tier=_offer(tier) if tier else None,
        next=NextTier(tier=_offer(above[0]), left=_left(above[0], spend)) if above else None,
    )


def _reached(tier: LoyaltyTier, spend: Mapping[str, int]) -> bool:
    return any(spend.get(least.currency, 0) >= least.amount_minor for least in tier.from_spend)


def _left(tier: LoyaltyTier, spend: Mapping[str, int]) -> list[Money]:
    return [
        least.model_copy(update={"amount_minor": least.amount_minor - spend.get(least.currency, 0)})
        for least in tier.from_spend
    ]


def _offer(tier: LoyaltyTier) -> TierOffer:
    return TierOffer.model_validate(tier.model_dump())
