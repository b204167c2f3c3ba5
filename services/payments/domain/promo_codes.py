"""Promo codes: what a code changes of a quote. Whether an account may use it is the database's to decide."""

from libs.contracts.catalogue import price_in
from libs.contracts.events.payments_v1 import DiscountTaken
from libs.contracts.http.payments_v1 import Quote, QuotedBonus
from libs.contracts.money import Money, smallest_charge
from libs.contracts.promo_codes import BonusCredits, Discount, FreeTrial, PercentOff, PromoTerms
from services.payments.domain.discounts import after_percent, discounted
from services.payments.domain.errors import AmountNotChargeableError, PromoCodeRefusedError, PromoCodeUnfitError


def with_code(quote: Quote, code: str, terms: PromoTerms) -> Quote:
    """Apply a code that the account may use to what an order costs and brings.

    Raises PromoCodeRefusedError if it is for plans alone, PromoCodeUnfitError if it is not for this order,
    AmountNotChargeableError if it would leave less to pay than Stripe charges.
    """
    if isinstance(terms.gives, FreeTrial):
        raise PromoCodeRefusedError
    _check_fits(quote, terms)
    if isinstance(terms.gives, BonusCredits):
        gives = terms.gives
        bonus = QuotedBonus(credits=gives.credits, kind=gives.lot, expires_after_days=gives.expires_after_days)
        return quote.model_copy(update={"promo_code": code, "promo_bonus": bonus})
    price = price_after(quote.price, terms.gives)
    least = smallest_charge(price.currency)
    if price.amount_minor < least:
        smallest = Money(amount_minor=least, currency=price.currency)
        raise AmountNotChargeableError(f"the promo code would leave less than {smallest} to pay, which cannot be paid")
    off = price.model_copy(update={"amount_minor": quote.price.amount_minor - price.amount_minor})
    named = quote.model_copy(update={"promo_code": code})
    return discounted(named, DiscountTaken(by="promo_code", name=code, amount=off))


def price_after(price: Money, discount: Discount) -> Money:
    """Tell what a discount leaves of a price that can be charged; it may be nothing, or less.

    Raises PromoCodeUnfitError if no amount is off in the price's currency.
    """
    if isinstance(discount, PercentOff):
        return after_percent(price, discount.percent)
    amount = price_in(discount.amounts, price.currency)
    if amount is None:
        raise PromoCodeUnfitError(reason="currency")
    return price.model_copy(update={"amount_minor": price.amount_minor - amount.amount_minor})


def _check_fits(quote: Quote, terms: PromoTerms) -> None:
    if not terms.custom_amounts if quote.pack is None else terms.packs is not None and quote.pack not in terms.packs:
        raise PromoCodeUnfitError(reason="product")
    if not terms.minimum:
        return
    minimum = price_in(terms.minimum, quote.list_price.currency)
    if minimum is None:
        raise PromoCodeUnfitError(reason="currency")
    if quote.list_price.amount_minor < minimum.amount_minor:
        raise PromoCodeUnfitError(
            f"This promo code is for purchases of {minimum} or more.",
            reason="minimum_purchase",
            minimum=minimum.model_dump(),
        )
