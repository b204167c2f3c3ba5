"""What an order costs and brings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chassis.errors import DomainError
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO
from libs.contracts.http.payments_v1 import PurchaseOrder
from libs.contracts.money import LARGEST_AMOUNT, THREE_DECIMAL, WHOLE_UNITS_ONLY, ZERO_DECIMAL, Money, chargeable
from services.payments.domain.discounts import bought_with, cost_of
from services.payments.domain.errors import (
    AmountNotChargeableError,
    AmountOutOfLimitsError,
    CurrencyNotOfferedError,
    OnlyPacksError,
    UnknownPackError,
)
from services.payments.domain.quotes import currencies, quote


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "usd"}


PACKS = [
    {
        "id": "starter",
        "name": "Starter",
        "credits": "50",
        "prices": [usd(999), {"amount_minor": 900, "currency": "eur"}],
    },
    {"id": "pro", "name": "Pro", "credits": "150", "bonus": "10", "prices": [usd(2499)]},
]
CUSTOM = {"per_credit": [usd(20), {"amount_minor": 30, "currency": "jpy"}], "minimum": "5", "maximum": "10000"}
PRICE_BOOK = {"version": "test-1"}
CATALOGUE = Catalogue.model_validate(
    {"name": "test", "packs": PACKS, "custom_amount": CUSTOM, "price_book": PRICE_BOOK}
)
ONLY_PACKS = Catalogue.model_validate({"name": "test", "packs": PACKS, "price_book": PRICE_BOOK})


def order(**what: Any) -> PurchaseOrder:
    return PurchaseOrder.model_validate(what)


def test_a_pack_costs_what_the_catalogue_says_and_brings_its_bonus() -> None:
    offer = quote(CATALOGUE, order(pack="pro"))
    assert (offer.pack, offer.price, offer.credits, offer.bonus) == (
        "pro", Money(amount_minor=2499, currency="usd"), 150 * MICRO, 10 * MICRO,
    )  # fmt: skip
    assert offer.description == "Pro: 150 + 10 credits"


def test_a_pack_is_priced_in_the_currency_asked_for() -> None:
    assert quote(CATALOGUE, order(pack="starter", currency="eur")).price == Money(amount_minor=900, currency="eur")


def test_a_custom_amount_costs_its_credits_times_the_price_of_one() -> None:
    offer = quote(CATALOGUE, order(amount_credits="12.345"))
    assert (offer.pack, offer.price.amount_minor, offer.credits, offer.bonus) == (None, 247, 12_345_000, 0)
    assert offer.description == "12.345 credits"


def test_money_buys_as_many_credits_as_it_is_worth() -> None:
    offer = quote(CATALOGUE, order(amount_money={"amount_minor": 1001, "currency": "usd"}))
    assert (offer.price.amount_minor, offer.credits) == (1001, 50_050_000)


@pytest.mark.parametrize("what", [{"amount_credits": "50"}, {"amount_money": usd(1000)}])
def test_an_amount_equal_to_a_packs_credits_buys_that_pack_at_its_price(what: dict[str, Any]) -> None:
    offer = quote(CATALOGUE, order(**what))
    assert (offer.pack, offer.price.amount_minor) == ("starter", 999)


def test_the_currency_of_the_money_is_the_currency_of_the_purchase() -> None:
    offer = quote(CATALOGUE, order(amount_money={"amount_minor": 3000, "currency": "jpy"}))
    assert (offer.price, offer.credits) == (Money(amount_minor=3000, currency="jpy"), 100 * MICRO)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ({"pack": "giant"}, UnknownPackError),
        ({"pack": "pro", "currency": "eur"}, CurrencyNotOfferedError),
        ({"amount_credits": "50", "currency": "chf"}, CurrencyNotOfferedError),
        ({"amount_credits": "7", "currency": "eur"}, CurrencyNotOfferedError),
        ({"amount_money": {"amount_minor": 500, "currency": "eur"}}, CurrencyNotOfferedError),
        ({"amount_credits": "4.999999"}, AmountOutOfLimitsError),
        ({"amount_credits": "10000.000001"}, AmountOutOfLimitsError),
        ({"amount_credits": "9000000000000"}, AmountOutOfLimitsError),
        ({"amount_money": usd(99)}, AmountOutOfLimitsError),
        ({"amount_money": usd(100_000_000)}, AmountNotChargeableError),
    ],
)
def test_what_is_not_sold_is_refused(what: dict[str, Any], error: type[DomainError]) -> None:
    with pytest.raises(error):
        quote(CATALOGUE, order(**what))


@pytest.mark.parametrize("what", [{"amount_credits": "7"}, {"amount_money": usd(999)}])
def test_without_a_price_for_custom_amounts_only_packs_are_sold(what: dict[str, Any]) -> None:
    with pytest.raises(OnlyPacksError):
        quote(ONLY_PACKS, order(**what))
    assert quote(ONLY_PACKS, order(amount_credits="150")).pack == "pro"


def test_every_currency_in_which_something_is_sold_is_offered() -> None:
    assert currencies(CATALOGUE) == ["eur", "jpy", "usd"]
    assert currencies(ONLY_PACKS) == ["eur", "usd"]


ANY_CURRENCY = st.sampled_from(["usd", "eur", *sorted(ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_ONLY)])


@given(micro=st.integers(1, 10**13), price=st.integers(1, 10**4), currency=ANY_CURRENCY)
def test_a_cost_can_be_charged_and_is_the_least_that_does_not_sell_below_the_price(
    micro: int, price: int, currency: str
) -> None:
    per_credit = Money(amount_minor=price, currency=currency)
    exact_times_micro = micro * price
    cost = cost_of(micro, per_credit).amount_minor
    assert chargeable(cost, currency) or cost > LARGEST_AMOUNT
    assert cost * MICRO >= exact_times_micro
    step = next(step for step in (1, 10, 100) if chargeable(step, currency))
    assert (cost - step) * MICRO < exact_times_micro


def test_more_than_one_payment_can_carry_is_refused() -> None:
    dear = CUSTOM | {"per_credit": [usd(100_000)]}
    catalogue = Catalogue.model_validate({"name": "test", "custom_amount": dear, "price_book": PRICE_BOOK})
    assert quote(catalogue, order(amount_credits="999.99")).price.amount_minor == LARGEST_AMOUNT - 999
    with pytest.raises(AmountOutOfLimitsError, match="more than one payment can carry"):
        quote(catalogue, order(amount_credits="1000"))


@given(amount=st.integers(1, LARGEST_AMOUNT), price=st.integers(1, 10**4))
def test_money_never_buys_more_than_it_pays_for_nor_a_micro_credit_less(amount: int, price: int) -> None:
    per_credit = Money(amount_minor=price, currency="usd")
    micro = bought_with(Money(amount_minor=amount, currency="usd"), per_credit)
    assert micro * price <= amount * MICRO < (micro + 1) * price
    assert cost_of(micro, per_credit).amount_minor == amount
