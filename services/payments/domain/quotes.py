"""Quotes: what an order costs and brings. Prices and credits come from the catalogue alone."""

from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.catalogue import Catalogue, CustomAmount, Pack, price_in
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.http.payments_v1 import PurchaseOrder, Quote
from libs.contracts.money import LARGEST_AMOUNT, Money, chargeable, smallest_step
from services.payments.domain.errors import (
    AmountNotChargeableError,
    AmountOutOfLimitsError,
    CurrencyNotOfferedError,
    OnlyPacksError,
    UnknownPackError,
)
from services.payments.domain.return_addresses import ReturnAddresses


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a deployment sells: its catalogue, where buyers may return to, how long a checkout page lives."""

    catalogue: Catalogue
    return_addresses: ReturnAddresses
    checkout_life: timedelta


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


def currencies(catalogue: Catalogue) -> list[str]:
    """Name the currencies in which something is sold."""
    prices = [price for pack in catalogue.packs for price in pack.prices]
    if catalogue.custom_amount is not None:
        prices += catalogue.custom_amount.per_credit
    return sorted({price.currency for price in prices})


def cost_of(micro: int, per_credit: Money) -> Money:
    """Price micro-credits, rounded up to the next amount that can be charged, so that none is sold below its price.

    That is a whole minor unit, a multiple of ten of a three-decimal currency, a whole unit where there is nothing less.
    """
    step = smallest_step(per_credit.currency)
    steps = -(-micro * per_credit.amount_minor // (MICRO * step))
    if steps * step > LARGEST_AMOUNT:
        raise AmountOutOfLimitsError("that is more than one payment can carry")
    return Money(amount_minor=steps * step, currency=per_credit.currency)


def bought_with(money: Money, per_credit: Money) -> int:
    """Tell how many micro-credits some money buys, rounded down, so that none is sold below its price."""
    return money.amount_minor * MICRO // per_credit.amount_minor


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
    return bought_with(order.amount_money, _per_credit(catalogue, order.amount_money.currency))


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
    bonus = f" + {format_credits(pack.bonus)}" if pack.bonus else ""
    return Quote(
        pack=pack.id,
        description=f"{pack.name}: {format_credits(pack.credits)}{bonus} {catalogue.unit.plural}",
        price=price,
        credits=pack.credits,
        bonus=pack.bonus,
        bonus_kind=pack.bonus_kind,
    )


def _of_custom_amount(catalogue: Catalogue, micro: int, currency: str, *, paying: Money | None) -> Quote:
    limits = _custom_amount(catalogue)
    if not limits.minimum <= micro <= limits.maximum:
        raise AmountOutOfLimitsError(
            minimum=format_credits(limits.minimum),
            maximum=format_credits(limits.maximum),
            asked=format_credits(micro),
        )
    unit = catalogue.unit.singular if micro == MICRO else catalogue.unit.plural
    return Quote(
        pack=None,
        description=f"{format_credits(micro)} {unit}",
        price=paying or cost_of(micro, _per_credit(catalogue, currency)),
        credits=micro,
        bonus=0,
        bonus_kind="purchased",
    )
