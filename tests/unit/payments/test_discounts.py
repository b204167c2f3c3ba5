"""Volume discounts and loyalty tiers: what they change of a quote, in whole minor units."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.discounts import Loyalty, VolumeStep
from libs.contracts.events.payments_v1 import LotToGrant
from libs.contracts.http.payments_v1 import PurchaseOrder, Quote
from libs.contracts.money import (
    THREE_DECIMAL,
    WHOLE_UNITS_ONLY,
    ZERO_DECIMAL,
    Money,
    chargeable,
    smallest_charge,
    smallest_step,
)
from libs.contracts.promo_codes import PromoTerms
from services.payments.domain.discounts import standing, volume_bought, volume_price, with_tier
from services.payments.domain.errors import AmountNotChargeableError
from services.payments.domain.promo_codes import with_code
from services.payments.domain.purchases import lots_of
from services.payments.domain.quotes import quote

ANY_CURRENCY = st.sampled_from(["usd", "eur", "huf", *sorted(ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_ONLY)])
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def money(amount_minor: int, currency: str = "usd") -> Money:
    return Money(amount_minor=amount_minor, currency=currency)


def steps(*written: tuple[str, int], gives: str = "percent_off") -> list[VolumeStep]:
    return [VolumeStep.model_validate({"from_credits": start, gives: percent}) for start, percent in written]


def a_catalogue(**more: Any) -> Catalogue:
    custom = {"per_credit": [money(100), money(100, "jpy"), money(1000, "kwd")], "minimum": "1", "maximum": "100000"}
    volume = {"volume": [step.model_dump(mode="json") for step in more.pop("volume", [])]}
    pack = {"id": "pro", "name": "Pro", "credits": "150", "bonus": "10", "prices": [money(15000)]}
    written = {"name": "test", "packs": [pack], "price_book": {"version": "1"}}
    return Catalogue.model_validate({**written, "custom_amount": {**custom, **volume, **more}})


def offer(catalogue: Catalogue, **order: Any) -> Quote:
    return quote(catalogue, PurchaseOrder.model_validate(order))


FIVE_AND_TEN = steps(("500", 5), ("1000", 10))


@pytest.mark.parametrize(
    ("credits", "list_minor", "minor"),
    [
        ("100", 10_000, 10_000),
        ("499", 49_900, 47_500),  # not more than 500 cost
        ("500", 50_000, 47_500),
        ("501", 50_100, 47_595),
        ("999.99", 99_999, 90_000),  # 94 999.05, and 1000 cost less
        ("1000", 100_000, 90_000),
        ("1000.01", 100_001, 90_000),  # 90 000.9, in the customer's favour
    ],
)
def test_a_number_of_credits_costs_what_the_step_says_that_it_reaches(
    credits: str, list_minor: int, minor: int
) -> None:
    made = offer(a_catalogue(volume=FIVE_AND_TEN), amount_credits=credits)
    assert (made.list_price, made.price) == (money(list_minor), money(minor))
    assert (made.discount, format_credits(made.credits), made.bonus) == (money(list_minor - minor), credits, 0)
    assert [(taken.by, taken.amount) for taken in made.discounts] == (
        [("volume", made.discount)] if list_minor > minor else []
    )


@pytest.mark.parametrize(
    ("minor", "credits"),
    [
        (10_000, "100"),
        (47_499, "474.99"),
        (47_500, "500"),
        (50_000, "526.315789"),
        (89_999, "947.357894"),
        (90_000, "1000"),
        (99_999, "1111.1"),
    ],
)
def test_an_amount_of_money_buys_by_the_step_that_it_can_pay(minor: int, credits: str) -> None:
    made = offer(a_catalogue(volume=FIVE_AND_TEN), amount_money=money(minor).model_dump())
    assert (made.price, format_credits(made.credits)) == (money(minor), credits)
    assert made.list_price == made.price + made.discount


def test_the_price_of_a_steps_first_amount_buys_that_amount_though_rounding_was_in_the_customers_favour() -> None:
    odd = a_catalogue(volume=steps(("333", 3)), per_credit=[money(7)])  # 333 cost 22.6107, so 22.61
    assert offer(odd, amount_credits="333").price == money(2261)
    by_money = offer(odd, amount_money=money(2261).model_dump())
    assert (format_credits(by_money.credits), by_money.list_price) == ("333", money(2331))
    assert format_credits(offer(odd, amount_money=money(2260).model_dump()).credits) == "322.857142"


def test_a_bonus_step_gives_a_share_of_the_credits_on_top() -> None:
    catalogue = a_catalogue(volume=steps(("500", 5), ("1000", 12), gives="bonus_percent"), bonus_kind="promotional")
    for credits, bonus in (("499.999999", 0), ("500", 25 * MICRO), ("1000.000001", 120 * MICRO)):
        made = offer(catalogue, amount_credits=credits)
        assert (made.bonus, made.bonus_kind, made.discounts) == (bonus, "promotional", [])
    assert offer(catalogue, amount_credits="500").description == "500 + 25 credits"


@pytest.mark.parametrize("what", [{"amount_credits": "150"}, {"amount_money": money(15_000).model_dump()}])
def test_as_many_credits_as_a_pack_has_buy_that_pack_whatever_the_volume_gives(what: dict[str, Any]) -> None:
    made = offer(a_catalogue(volume=steps(("200", 10))), **what)
    assert (made.pack, made.price, made.discounts) == ("pro", money(15_000), [])


def test_less_than_stripe_charges_is_not_sold() -> None:
    for order in ({"amount_credits": "0.4"}, {"amount_money": money(40).model_dump()}):
        with pytest.raises(AmountNotChargeableError, match=r"0\.40 USD is less than 0\.50 USD"):
            offer(a_catalogue(minimum="0.1"), **order)


PER_CREDIT = st.integers(1, 10**4)
SOME_STEPS = st.lists(
    st.tuples(st.integers(1, 10**4), st.integers(1, 99)),
    min_size=1,
    max_size=4,
    unique_by=(lambda s: s[0], lambda s: s[1]),
).map(lambda drawn: steps(*((str(at), off) for at, off in zip(*map(sorted, zip(*drawn, strict=True)), strict=True))))


@given(
    micro=st.integers(1, 10**11), more=st.integers(0, 10**11), price=PER_CREDIT, currency=ANY_CURRENCY, by=SOME_STEPS
)
def test_nobody_pays_more_for_fewer_credits_and_neither_side_gains_as_much_as_a_minor_unit(
    *, micro: int, more: int, price: int, currency: str, by: list[VolumeStep]
) -> None:
    per_credit = money(price, currency)
    cheap, dear = volume_price(micro, per_credit, by), volume_price(micro + more, per_credit, by)
    assert cheap.amount_minor <= dear.amount_minor
    assert cheap.amount_minor % smallest_step(currency) == 0
    exact = min([micro * 100, *((100 - (step.percent_off or 0)) * max(micro, step.from_credits) for step in by)])
    step = smallest_step(currency) * 100 * MICRO
    if cheap.amount_minor > smallest_charge(currency):
        assert abs(cheap.amount_minor * 100 * MICRO - exact * price) < step
    assert cheap.amount_minor * 100 * MICRO - micro * 100 * price < step


@given(minor=st.integers(1, 10**6), price=PER_CREDIT, currency=ANY_CURRENCY, by=SOME_STEPS)
def test_naming_the_credits_that_some_money_buys_costs_that_money_but_for_one_step(
    minor: int, price: int, currency: str, by: list[VolumeStep]
) -> None:
    named, per_credit = money(minor * smallest_step(currency), currency), money(price, currency)
    assume(named.amount_minor >= smallest_charge(currency))
    micro = volume_bought(named, per_credit, by)
    back = volume_price(micro, per_credit, by)
    assert abs(back.amount_minor - named.amount_minor) <= smallest_step(currency)


TIERS = [
    {"id": "silver", "name": "Silver", "from_spend": [money(10_000), money(9_000, "eur")], "percent_off": 5},
    {"id": "gold", "name": "Gold", "from_spend": [money(50_000)], "bonus_percent": 10},
]
LOYALTY = Loyalty.model_validate({"tiers": TIERS})


@pytest.mark.parametrize(
    ("spend", "tier"),
    [
        ({}, None),
        ({"usd": 9_999, "eur": 8_999}, None),
        ({"usd": 10_000}, "silver"),
        ({"eur": 9_000}, "silver"),
        ({"eur": 999_999}, "silver"),
        ({"usd": 50_000}, "gold"),
        ({"jpy": 10**9}, None),
    ],
)
def test_a_tier_is_reached_by_the_spend_in_one_currency(spend: dict[str, int], tier: str | None) -> None:
    found = with_tier(offer(a_catalogue(), pack="pro"), LOYALTY, spend).tier
    assert (found.id if found else None) == tier


def test_a_tier_takes_its_share_off_or_brings_its_share_of_credits() -> None:
    listed = offer(a_catalogue(), pack="pro")
    silver = with_tier(listed, LOYALTY, {"usd": 10_000})
    assert (silver.list_price, silver.price, silver.discount) == (money(15_000), money(14_250), money(750))
    assert [(taken.by, taken.name) for taken in silver.discounts] == [("tier", "Silver")]
    gold = with_tier(listed, LOYALTY, {"usd": 50_000})
    assert (gold.price, gold.discounts) == (money(15_000), [])
    assert [(lot.kind, lot.credits, lot.bonus) for lot in lots_of(gold)] == [
        ("purchased", 160 * MICRO, 10 * MICRO),
        ("promotional", 15 * MICRO, 15 * MICRO),  # of what is bought, not of its bonus
    ]


def test_what_is_left_to_the_next_tier_is_told_in_each_of_its_currencies() -> None:
    nobody = standing(LOYALTY, {})
    assert nobody.tier is None
    assert nobody.next is not None
    assert nobody.next.left == [money(10_000), money(9_000, "eur")]
    silver = standing(LOYALTY, {"usd": 12_345, "eur": 1})
    assert silver.spend == [money(1, "eur"), money(12_345)]
    assert silver.tier is not None
    assert silver.next is not None
    assert (silver.tier.id, silver.next.tier.id, silver.next.left) == ("silver", "gold", [money(37_655)])
    gold = standing(LOYALTY, {"usd": 50_000})
    assert (gold.tier and gold.tier.id, gold.next) == ("gold", None)
    assert (standing(None, {"usd": 1}).tier, standing(None, {"usd": 1}).next) == (None, None)


def test_the_order_is_volume_then_tier_then_promo_code_each_of_what_the_one_before_left() -> None:
    listed = offer(a_catalogue(volume=FIVE_AND_TEN), amount_credits="1000")
    terms = PromoTerms.model_validate({"gives": {"kind": "percent", "percent": 20}, "minimum": [money(100_000)]})
    made = with_code(with_tier(listed, LOYALTY, {"usd": 10_000}), "SPRING", terms)
    assert [(taken.by, taken.name, taken.amount.amount_minor) for taken in made.discounts] == [
        ("volume", None, 10_000),
        ("tier", "Silver", 4_500),
        ("promo_code", "SPRING", 17_100),
    ]
    assert (made.list_price, made.discount, made.price) == (money(100_000), money(31_600), money(68_400))


@given(minor=st.integers(1, 10**5), currency=ANY_CURRENCY, percent=st.integers(1, 99))
def test_a_tier_never_leaves_less_than_stripe_charges(minor: int, currency: str, percent: int) -> None:
    price = money(minor * smallest_step(currency), currency)
    tier = {"id": "t", "name": "T", "from_spend": [money(1)], "percent_off": percent}
    listed = offer(a_catalogue(), pack="pro").model_copy(
        update={"price": price, "list_price": price, "discount": money(0, currency)}
    )
    made = with_tier(listed, Loyalty.model_validate({"tiers": [tier]}), {"usd": 1})
    assert made.price.amount_minor >= min(smallest_charge(currency), price.amount_minor)
    assert chargeable(made.price.amount_minor, currency)
    assert made.price + made.discount == made.list_price == price


def days(lots: list[LotToGrant]) -> dict[str, int | None]:
    return {lot.kind: (lot.expires_at - NOW).days if lot.expires_at else None for lot in lots}


def test_credits_expire_as_the_catalogue_says_and_a_bonus_that_is_bought_with_them_as_they_do() -> None:
    listed = offer(a_catalogue(expires_after_days=365), amount_credits="10")
    assert days(lots_of(listed, paid_at=NOW)) == {"purchased": 365}
    bought = {"tiers": [{**TIERS[1], "from_spend": [money(1)]}], "bonus_kind": "purchased"}
    with_more = with_tier(listed, Loyalty.model_validate(bought), {"usd": 1})
    assert [(lot.credits, lot.bonus) for lot in lots_of(with_more)] == [(11 * MICRO, MICRO)]
    assert days(lots_of(with_more, paid_at=NOW)) == {"purchased": 365}
    apart = {**bought, "bonus_kind": "promotional", "bonus_expires_after_days": 30}
    assert days(lots_of(with_tier(listed, Loyalty.model_validate(apart), {"usd": 1}), paid_at=NOW)) == {
        "purchased": 365, "promotional": 30,
    }  # fmt: skip


def test_a_packs_bonus_of_another_kind_expires_with_the_pack_or_on_its_own() -> None:
    shape = {"bonus": 10 * MICRO, "bonus_kind": "promotional", "expires_after_days": 365}
    pack = offer(a_catalogue(), pack="pro").model_copy(update=shape)
    assert days(lots_of(pack, paid_at=NOW)) == {"purchased": 365, "promotional": 365}
    sooner = pack.model_copy(update={"bonus_expires_after_days": 30})
    assert days(lots_of(sooner, paid_at=NOW)) == {"purchased": 365, "promotional": 30}
    assert lots_of(sooner, paid_at=NOW)[1].expires_at == NOW + timedelta(days=30)
