"""What a promo code changes of a quote."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.stripe_sandbox.money import SMALLEST
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO
from libs.contracts.http.payments_v1 import PurchaseOrder, Quote
from libs.contracts.money import (
    LARGEST_AMOUNT,
    SMALLEST_CHARGE,
    THREE_DECIMAL,
    WHOLE_UNITS_ONLY,
    ZERO_DECIMAL,
    Money,
    chargeable,
    smallest_charge,
    smallest_step,
)
from libs.contracts.promo_codes import AmountOff, PercentOff, PromoCode, PromoTerms
from services.payments.domain.errors import AmountNotChargeableError, PromoCodeRefusedError
from services.payments.domain.promo_codes import price_after, with_code
from services.payments.domain.purchases import lots_of

ANY_CURRENCY = st.sampled_from(["usd", "eur", "huf", *sorted(ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_ONLY)])
PERCENT = st.integers(1, 99)


@st.composite
def prices(draw: st.DrawFn) -> Money:
    """Draw a price that can be charged."""
    currency = draw(ANY_CURRENCY)
    step = smallest_step(currency)
    return Money(amount_minor=draw(st.integers(1, LARGEST_AMOUNT // step)) * step, currency=currency)


def a_quote(price: Money, **more: Any) -> Quote:
    nothing = Money(amount_minor=0, currency=price.currency)
    shape = {"pack": "pro", "description": "Pro", "credits": 150 * MICRO, "bonus": 0, "bonus_kind": "purchased"}
    return Quote.model_validate({**shape, "list_price": price, "price": price, "discount": nothing, **more})


def terms(kind: str, **more: Any) -> PromoTerms:
    named = {"gives": {"kind": kind, **more.pop("gives")}}
    return PromoTerms.model_validate({**named, **more})


@given(price=prices(), percent=PERCENT)
def test_a_share_off_leaves_what_can_be_charged_and_rounds_in_the_customers_favour(price: Money, percent: int) -> None:
    left = price_after(price, PercentOff(kind="percent", percent=percent)).amount_minor
    exact_times_100 = price.amount_minor * (100 - percent)
    assert left == 0 or chargeable(left, price.currency)
    assert left * 100 <= exact_times_100 < (left + smallest_step(price.currency)) * 100


@given(price=prices(), data=st.data())
def test_an_amount_off_is_off_exactly(price: Money, data: st.DataObject) -> None:
    step = smallest_step(price.currency)
    off = data.draw(st.integers(1, LARGEST_AMOUNT // step)) * step
    amounts = [Money(amount_minor=off, currency=price.currency)]
    left = price_after(price, AmountOff(kind="amount", amounts=amounts)).amount_minor
    assert left == price.amount_minor - off
    assert left <= 0 or chargeable(left, price.currency)


@given(price=prices(), percent=PERCENT)
def test_discount_and_price_add_up_and_never_less_is_charged_than_stripe_charges(price: Money, percent: int) -> None:
    try:
        quote = with_code(a_quote(price), "CODE", terms("percent", gives={"percent": percent}))
    except AmountNotChargeableError:
        left = price_after(price, PercentOff(kind="percent", percent=percent))
        assert left.amount_minor < smallest_charge(price.currency)
        return
    assert quote.price + quote.discount == price
    assert quote.price.amount_minor >= smallest_charge(price.currency)
    assert lots_of(quote) == lots_of(a_quote(price))


@given(price=prices(), less=PERCENT, more=PERCENT)
def test_a_larger_share_off_never_costs_more(price: Money, less: int, more: int) -> None:
    less, more = sorted((less, more))
    dear, cheap = (price_after(price, PercentOff(kind="percent", percent=percent)) for percent in (less, more))
    assert cheap.amount_minor <= dear.amount_minor


@pytest.mark.parametrize(
    ("minor", "currency", "percent", "left"),
    [
        (999, "usd", 10, 899),  # 899.1
        (999, "usd", 50, 499),  # 499.5
        (1001, "jpy", 50, 500),  # 500.5
        (12_340, "kwd", 15, 10_480),  # 10 489, and the last digit is 0
        (150_000, "isk", 33, 100_500),
        (151_100, "ugx", 50, 75_500),  # 75 550, and only whole units can be charged
    ],
)
def test_shares_in_currencies_of_every_kind(minor: int, currency: str, percent: int, left: int) -> None:
    price = Money(amount_minor=minor, currency=currency)
    assert price_after(price, PercentOff(kind="percent", percent=percent)).amount_minor == left


def test_what_we_take_for_stripes_smallest_charges_is_what_the_sandbox_does() -> None:
    assert SMALLEST_CHARGE == SMALLEST


def test_a_free_trial_is_of_no_use_for_a_purchase() -> None:
    with pytest.raises(PromoCodeRefusedError):
        with_code(a_quote(Money(amount_minor=999, currency="usd")), "CODE", terms("free_trial", gives={"days": 7}))


NOW = datetime(2026, 11, 1, tzinfo=UTC)
IN_A_MONTH = NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("bonus", "gives", "lots"),
    [
        ({}, {}, [("purchased", 150, 0, None), ("promotional", 20, 20, None)]),
        ({}, {"expires_after_days": 30}, [("purchased", 150, 0, None), ("promotional", 20, 20, IN_A_MONTH)]),
        ({}, {"lot": "purchased"}, [("purchased", 170, 20, None)]),
        ({"bonus": 10}, {}, [("purchased", 160, 10, None), ("promotional", 20, 20, None)]),
        (
            {"bonus": 10, "bonus_kind": "granted"},
            {},
            [("purchased", 150, 0, None), ("granted", 10, 10, None), ("promotional", 20, 20, None)],
        ),
        (
            {"bonus": 10, "bonus_kind": "promotional"},
            {"expires_after_days": 30},
            [("purchased", 150, 0, None), ("promotional", 30, 30, None)],  # the pack's bonus never expires
        ),
        ({"bonus": 10}, {"lot": "purchased"}, [("purchased", 180, 30, None)]),
    ],
)
def test_there_is_one_lot_of_a_kind_whatever_brings_it(
    bonus: dict[str, Any], gives: dict[str, Any], lots: list[tuple[str, int, int, datetime | None]]
) -> None:
    bonus = {name: value * MICRO if name == "bonus" else value for name, value in bonus.items()}
    plain = a_quote(Money(amount_minor=999, currency="usd"), **bonus)
    quote = with_code(plain, "CODE", terms("bonus_credits", gives={"credits": "20", **gives}))
    assert (quote.price, quote.discount.amount_minor) == (plain.price, 0)
    assert [
        (lot.kind, lot.credits // MICRO, lot.bonus // MICRO, lot.expires_at) for lot in lots_of(quote, paid_at=NOW)
    ] == lots


@pytest.mark.parametrize(
    "wrong",
    [
        {"gives": {"kind": "percent", "percent": 0}},
        {"gives": {"kind": "percent", "percent": 100}},
        {"gives": {"kind": "percent", "percent": 12.5}},
        {"gives": {"kind": "percent", "percent": True}},
        {"gives": {"kind": "percent", "percent": "10"}},
        {"gives": {"kind": "percent", "percent": 10, "amounts": []}},
        {"gives": {"kind": "percent"}},
        {"gives": {"kind": "discount", "percent": 10}},
        {"gives": {"kind": "amount", "amounts": []}},
        {"gives": {"kind": "amount", "amounts": [{"amount_minor": 0, "currency": "usd"}]}},
        {"gives": {"kind": "amount", "amounts": [{"amount_minor": 5, "currency": "kwd"}]}},
        {"gives": {"kind": "amount", "amounts": [{"amount_minor": 5, "currency": "usd"}] * 2}},
        {"gives": {"kind": "bonus_credits", "credits": "0"}},
        {"gives": {"kind": "bonus_credits", "credits": 20}},
        {"gives": {"kind": "bonus_credits", "credits": "5", "lot": "purchased", "expires_after_days": 5}},
        {"gives": {"kind": "free_trial", "days": 0}},
        {"total_limit": 0},
        {"per_account": 0},
        {"accounts": []},
        {"accounts": ["usr_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3"]},
        {"starts_at": "2026-12-01T00:00:00"},
        {"starts_at": "2026-12-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z"},
        {"minimum": [{"amount_minor": 0, "currency": "usd"}]},
        {"packs": [], "custom_amounts": False},
        {"code": "AB"},
        {"code": "A" * 41},
        {"code": "SAVE 10"},
        {"code": "\u017fAVE"},
        {"colour": "red"},
    ],
)
def test_a_code_that_makes_no_sense_cannot_be_written(wrong: dict[str, Any]) -> None:
    right = {"code": "SAVE10", "gives": {"kind": "percent", "percent": 10}}
    assert PromoCode.model_validate(right).per_account == 1
    with pytest.raises(ValidationError):
        PromoCode.model_validate({**right, **wrong})


@pytest.mark.parametrize("typed", ["save-10", "SAVE-10", " Save-10 "])
def test_a_code_is_the_same_however_it_is_typed(typed: str) -> None:
    assert PurchaseOrder(pack="pro", promo_code=typed).promo_code == "SAVE-10"


def test_a_catalogue_tells_its_codes_apart_and_names_packs_that_it_sells() -> None:
    code = {"code": "SAVE", "gives": {"kind": "percent", "percent": 10}, "starts_at": NOW}
    shape: dict[str, Any] = {"name": "test", "price_book": {"version": "1"}}
    assert Catalogue.of({**shape, "promo_codes": [code]}).promo_codes[0].starts_at == NOW
    for wrong in ([code, {**code, "code": "save"}], [{**code, "packs": ["giant"]}]):
        with pytest.raises(ValueError, match="promo code"):
            Catalogue.of({**shape, "promo_codes": wrong})
