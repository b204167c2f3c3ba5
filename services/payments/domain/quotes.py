"""Quotes: what an order costs and brings. Prices and credits come from the catalogue alone."""

from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.catalogue import Catalogue, CustomAmount, Pack, price_in
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.events.payments_v1 import DiscountTaken
from libs.contracts.http.payments_v1 import PurchaseOrder, Quote
from libs.contracts.money import LARGEST_AMOUNT, Money, chargeable, smallest_charge
from services.payments.domain.discounts import cost_of, discounted, volume_bonus, volume_bought, volume_price
from services.payments.domain.errors import (
    AmountNotChargeableError,
    AmountOutOfLimitsError,
    CurrencyNotOfferedError,
    OnlyPacksError,
    UnknownGiftCardError,
    UnknownPackError,
)
from services.payments.domain.return_addresses import ReturnAddresses


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a deployment sells: its catalogue, where buyers may return to, how long a purchase is waited for."""

    catalogue: Catalogue
    return_addresses: ReturnAddresses
    checkout_life: timedelta
    payment_life: timedelta
    """Of one that is paid in the buyer's own page, and keeps no promo code from others."""


def quote(catalogue: Catalogue, order: PurchaseOrder) -> Quote:
    """Price an order. A number of credits that a pack has buys that pack, at the pack's price.

    Raises UnknownPackError, OnlyPacksError, CurrencyNotOfferedError, AmountOutOfLimitsError, AmountNotChargeableError.
    """
    if order.pack is not None:
        return _of_pack(catalogue, _named(catalogue, order.pack), order.currency)
    micro = _micro_credits_ordered(catalogue, order)
    currency = order.amount_money.currency if order.amount_money else order.currency
    for pack in catalogue.packs:
        if pack.credits == micro:
            return _of_pack(catalogue, pack, currency)
    return _of_custom_amount(catalogue, micro, currency, paying=order.amount_money)


def quote_gift_card(catalogue: Catalogue, product: str, currency: str) -> Quote:
    """Price a gift card. Raises UnknownGiftCardError, CurrencyNotOfferedError."""
    card = next((card for card in catalogue.gift_cards if card.id == product), None)
    if card is None:
        raise UnknownGiftCardError(product=product)
    price = price_in(card.prices, currency)
    if price is None:
        raise CurrencyNotOfferedError(currency=currency)
    description = f"{card.name}: {_counted(catalogue, card.credits, 0)}"
    return Quote(
        pack=None,
        description=description,
        list_price=price,
        discount=_nothing(currency),
        price=price,
        credits=card.credits,
        expires_after_days=card.expires_after_days,
        bonus=0,
        bonus_kind="purchased",
    )


def currencies(catalogue: Catalogue) -> list[str]:
    """Name the currencies in which something is sold."""
    prices = [price for pack in catalogue.packs for price in pack.prices]
    prices += [price for card in catalogue.gift_cards for price in card.prices]
    if catalogue.custom_amount is not None:
        prices += catalogue.custom_amount.per_credit
    return sorted({price.currency for price in prices})


def _named(catalogue: Catalogue, name: str) -> Pack:
    pack = catalogue.pack(name)
    if pack is None:
        raise UnknownPackError(pack=name)
    return pack


def _micro_credits_ordered(catalogue: Catalogue, order: PurchaseOrder) -> int:
    if order.amount_money is None:
        return order.amount_credits or 0
    if not chargeable(order.amount_money.amount_minor, order.amount_money.currency):
        raise AmountNotChargeableError(f"{order.amount_money} is not an amount that can be charged")
    per_credit = _per_credit(catalogue, order.amount_money.currency)
    return volume_bought(order.amount_money, per_credit, _custom_amount(catalogue).volume)


def _per_credit(catalogue: Catalogue, currency: str) -> Money:
    price = price_in(_custom_amount(catalogue).per_credit, currency)
    if price is None:
        raise CurrencyNotOfferedError(currency=currency)
    return price


def _custom_amount(catalogue: Catalogue) -> CustomAmount:
    if catalogue.custom_amount is None:
        raise OnlyPacksError
    return catalogue.custom_amount


def _of_pack(catalogue: Catalogue, pack: Pack, currency: str) -> Quote:
    price = price_in(pack.prices, currency)
    if price is None:
        raise CurrencyNotOfferedError(currency=currency)
    return Quote(
        pack=pack.id,
        description=f"{pack.name}: {_counted(catalogue, pack.credits, pack.bonus)}",
        list_price=price,
        discount=_nothing(currency),
        price=price,
        credits=pack.credits,
        expires_after_days=pack.expires_after_days,
        bonus=pack.bonus,
        bonus_kind=pack.bonus_kind,
        bonus_expires_after_days=pack.bonus_expires_after_days,
    )


def _of_custom_amount(catalogue: Catalogue, micro: int, currency: str, *, paying: Money | None) -> Quote:
    rule, per_credit = _custom_amount(catalogue), _per_credit(catalogue, currency)
    if not rule.minimum <= micro <= rule.maximum:
        raise AmountOutOfLimitsError(
            minimum=format_credits(rule.minimum),
            maximum=format_credits(rule.maximum),
            asked=format_credits(micro),
        )
    price = paying or volume_price(micro, per_credit, rule.volume)
    _check_chargeable(price)
    list_minor = max(cost_of(micro, per_credit).amount_minor, price.amount_minor)
    list_price = price.model_copy(update={"amount_minor": list_minor})
    bonus = volume_bonus(micro, rule.volume)
    offer = Quote(
        pack=None,
        description=_counted(catalogue, micro, bonus),
        list_price=list_price,
        discount=_nothing(currency),
        price=list_price,
        credits=micro,
        expires_after_days=rule.expires_after_days,
        bonus=bonus,
        bonus_kind=rule.bonus_kind,
    )
    off = price.model_copy(update={"amount_minor": list_minor - price.amount_minor})
    return discounted(offer, DiscountTaken(by="volume", amount=off))


def _counted(catalogue: Catalogue, micro: int, bonus: int) -> str:
    unit = catalogue.unit.singular if micro == MICRO and not bonus else catalogue.unit.plural
    return f"{format_credits(micro)}{f' + {format_credits(bonus)}' if bonus else ''} {unit}"


def _check_chargeable(price: Money) -> None:
    least = Money(amount_minor=smallest_charge(price.currency), currency=price.currency)
    if price.amount_minor < least.amount_minor:
        raise AmountNotChargeableError(f"{price} is less than {least}, the least that can be paid")
    if price.amount_minor > LARGEST_AMOUNT:
        raise AmountOutOfLimitsError("that is more than one payment can carry")


def _nothing(currency: str) -> Money:
    return Money(amount_minor=0, currency=currency)
