"""Promo codes: what they give, to whom, and never beyond their limits."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.chassis.errors import DomainError, NotFoundError
from libs.chassis.pool import Connection
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.promo_codes import PromoTerms
from services.payments.clients.stripe import Stripe
from services.payments.domain.errors import AmountNotChargeableError, PromoCodeRefusedError, PromoCodeUnfitError
from services.payments.domain.purchases import lots_of
from services.payments.operations import promo_codes
from services.payments.store import promo_codes as store
from tests.integration.payments.shop import Object, Shop, a_buyer, usd

QUARTER_OFF = {"kind": "percent", "percent": 25}
FIVE_OFF = {"kind": "amount", "amounts": [{"amount_minor": 500, "currency": "usd"}]}
TWENTY_MORE = {"kind": "bonus_credits", "credits": "20", "expires_after_days": 90}


async def nothing_is_recorded(shop: Shop) -> bool:
    async with shop.pool.connection() as conn:
        left = await conn.fetchval(
            "SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM idempotency_key)"
            "+ (SELECT count(*) FROM promo_redemption) + (SELECT sum(redeemed) FROM promo_code)"
        )
    return bool(left == 0)


@pytest.mark.parametrize(("gives", "discount"), [(QUARTER_OFF, 625), (FIVE_OFF, 500)])
async def test_a_discount_is_what_stripe_does_not_charge_and_the_credits_are_the_same(
    shop: Shop, gives: Object, discount: int
) -> None:
    buyer = a_buyer()
    await shop.put_code("SPRING", gives)
    purchase = await shop.paid(buyer, pack="pro", promo_code="spring")
    quote = purchase.quote
    assert (quote.price, quote.discount, quote.promo_code) == (usd(2499 - discount), usd(discount), "SPRING")
    assert [payment["amount"] for payment in await shop.at_stripe(buyer)] == [2499 - discount]
    [told] = await shop.successes(purchase)
    assert (told.paid, told.promo_code, told.discount) == (usd(2499 - discount), "SPRING", usd(discount))
    assert [(lot.kind, lot.credits) for lot in told.lots] == [("purchased", 160 * MICRO)]
    assert await shop.redeemed("SPRING") == 1


async def test_bonus_credits_are_a_lot_of_the_purchase_and_go_back_with_its_money(shop: Shop) -> None:
    await shop.put_code("MORE", TWENTY_MORE)
    purchase = await shop.paid(pack="pro", promo_code="more")
    assert (purchase.quote.price, purchase.quote.discount) == (usd(2499), usd(0))
    [told] = await shop.successes(purchase)
    assert [(lot.kind, lot.credits, lot.bonus) for lot in told.lots] == [
        ("purchased", 160 * MICRO, 10 * MICRO),
        ("promotional", 20 * MICRO, 20 * MICRO),
    ]
    assert told.lots[1].expires_at == told.occurred_at + timedelta(days=90)
    assert (told.promo_code, told.discount) == ("MORE", None)
    await shop.refund(purchase, 833)
    [partly] = await shop.refunded(purchase)
    assert [(lot.kind, lot.credits) for lot in partly.take_back] == [
        ("purchased", 160 * MICRO * 833 // 2499),
        ("promotional", 20 * MICRO * 833 // 2499),
    ]
    await shop.refund(purchase)
    assert [lot.credits for lot in (await shop.refunded(purchase))[-1].take_back] == [160 * MICRO, 20 * MICRO]


async def test_a_quote_tells_the_discount_and_redeems_nothing(shop: Shop) -> None:
    await shop.put_code("SPRING", QUARTER_OFF, total_limit=1)
    await shop.put_code("MORE", TWENTY_MORE)
    for _ in range(3):
        quote = await shop.quote(amount_credits="40", promo_code="Spring")
        assert (quote.price, quote.discount) == (usd(600), usd(200))
    more = await shop.quote(pack="pro", promo_code="MORE")
    assert sum(lot.credits for lot in lots_of(more)) == 180 * MICRO
    assert await nothing_is_recorded(shop)


async def test_of_a_hundred_at_once_exactly_as_many_redeem_a_code_as_its_limit_says(shop: Shop) -> None:
    await shop.put_code("RARE", QUARTER_OFF, total_limit=3)
    tries = await shop.at_once(*(start(shop, promo_code="RARE") for _ in range(100)), waiting=8)
    assert tries.count("started") == 3
    assert tries.count("PAY003") == 97
    assert await shop.redeemed("RARE") == 3


async def test_of_many_at_once_an_account_redeems_a_code_as_often_as_it_may(shop: Shop) -> None:
    await shop.put_code("TWICE", QUARTER_OFF, per_account=2)
    ada, bob = a_buyer(), a_buyer()
    starts = [start(shop, buyer, promo_code="TWICE") for _ in range(12) for buyer in (ada, bob)]
    tries = await shop.at_once(*starts, waiting=8)
    assert [tries[whose::2].count("started") for whose in (0, 1)] == [2, 2]
    assert await shop.redeemed("TWICE") == 4


async def test_an_account_is_a_new_customer_once_however_many_codes_it_tries_at_once(shop: Shop) -> None:
    buyer = a_buyer()
    codes = [f"NEW-{number}" for number in range(6)]
    for code in codes:
        await shop.put_code(code, QUARTER_OFF, new_customers_only=True)
    tries = await shop.at_once(*(start(shop, buyer, promo_code=code) for code in codes), waiting=len(codes))
    assert tries.count("started") == 1


@pytest.mark.parametrize("change", ["put on other terms", "retired"])
async def test_a_code_that_changes_while_it_is_redeemed_is_never_redeemed_on_terms_that_are_over(
    shop: Shop, change: str
) -> None:
    await shop.put_code("SPRING", QUARTER_OFF)

    async def meanwhile(conn: Connection) -> None:
        if change == "retired":
            await store.retire(conn, "SPRING", at=shop.clock.now())
        else:
            await store.put(conn, "SPRING", PromoTerms.model_validate({"gives": FIVE_OFF}), at=shop.clock.now())

    assert await shop.at_once(start(shop, promo_code="SPRING"), waiting=1, meanwhile=meanwhile) == ["PAY003"]
    assert await nothing_is_recorded(shop)


async def test_stripes_own_page_asks_for_what_the_discount_leaves(shop: Shop) -> None:
    await shop.put_code("SPRING", QUARTER_OFF)
    purchase = await shop.start_checkout(pack="pro", promo_code="SPRING")
    page = await shop.sandbox.http.get(purchase.checkout_url or "")
    assert "18.74" in page.text
    await shop.pay_page(purchase)
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert [told.paid for told in await shop.successes(purchase)] == [usd(1874)]


async def start(shop: Shop, buyer: Any = None, **order: Any) -> str:
    """Start a purchase whatever Stripe does; tells what came of it."""
    try:
        await shop.start_insisting(buyer or a_buyer(), pack="starter", **order)
    except DomainError as error:
        return error.code.code
    return "started"


HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "terms",
    [
        None,
        {"starts_at": NOW + HOUR},
        {"ends_at": NOW - HOUR},
        {"accounts": [ids.new_id()]},
        {"gives": {"kind": "free_trial", "days": 14}},
        {"total_limit": 1},
        {"new_customers_only": True},
    ],
    ids=["unknown", "early", "late", "not listed", "for plans", "exhausted", "a customer before"],
)
async def test_whatever_the_reason_a_code_that_cannot_be_used_is_answered_alike(
    shop: Shop, terms: dict[str, Any] | None
) -> None:
    buyer = a_buyer()
    await shop.put_code("GOOD", QUARTER_OFF)
    await shop.paid(buyer, pack="starter", promo_code="GOOD")
    if terms is not None:
        await shop.put_code("BAD", **{"gives": QUARTER_OFF, **terms})
        if "total_limit" in terms:
            await shop.start(promo_code="BAD")
    known = await shop.states()
    answers = []
    for code in ("BAD", "GOOD", "NEVER-HEARD-OF"):  # GOOD was redeemed by him before
        for attempt in (shop.start, shop.quote):
            with pytest.raises(PromoCodeRefusedError) as refused:
                await attempt(buyer, pack="pro", promo_code=code)
            answers.append((refused.value.code.code, refused.value.detail, refused.value.facts))
    assert answers == [("PAY003", "This promo code cannot be used.", {})] * 6
    assert await shop.states() == known


async def test_a_retired_code_is_a_code_that_nobody_knows_until_it_is_put_again(shop: Shop) -> None:
    await shop.put_code("SPRING", QUARTER_OFF)
    purchase = await shop.start(promo_code="SPRING")
    retired = await promo_codes.retire_promo_code(shop.pool, "SPRING", clock=shop.clock)
    assert (retired.active, retired.redeemed) == (False, 1)
    with pytest.raises(PromoCodeRefusedError):
        await shop.start(promo_code="SPRING")
    await shop.pay(purchase)
    assert (await shop.confirm(purchase)).quote.discount == usd(625)  # what was quoted holds
    await shop.put_code("SPRING", QUARTER_OFF)
    assert (await shop.start(promo_code="SPRING")).quote.discount == usd(625)
    with pytest.raises(NotFoundError):
        await promo_codes.retire_promo_code(shop.pool, "NEVER", clock=shop.clock)


async def test_putting_a_code_again_changes_nothing_and_other_terms_change_no_counter(shop: Shop) -> None:
    put = await shop.put_code("SPRING", QUARTER_OFF, total_limit=5, minimum=[usd(100)], packs=["pro"])
    await shop.start(promo_code="SPRING")
    shop.travel(HOUR)
    again = await shop.put_code("SPRING", QUARTER_OFF, total_limit=5, minimum=[usd(100)], packs=["pro"])
    assert again == put.model_copy(update={"redeemed": 1})
    changed = await shop.put_code("SPRING", FIVE_OFF, total_limit=1)
    assert (changed.redeemed, changed.paid, changed.changed_at > put.changed_at) == (1, 0, True)
    assert (changed.terms.total_limit, changed.terms.packs, changed.terms.minimum) == (1, None, [])
    with pytest.raises(PromoCodeRefusedError):
        await shop.start(promo_code="SPRING")


async def test_codes_are_listed_alphabetically_page_by_page(shop: Shop) -> None:
    for code in ("CCC", "AAA", "BBB"):
        await shop.put_code(code, QUARTER_OFF)
    first = await promo_codes.list_promo_codes(shop.pool, limit=2, cursor=None)
    rest = await promo_codes.list_promo_codes(shop.pool, limit=2, cursor=first.next_cursor)
    assert [counted.code for counted in first.data + rest.data] == ["AAA", "BBB", "CCC"]
    assert rest.next_cursor is None


@pytest.mark.parametrize(
    ("terms", "order", "facts"),
    [
        ({"packs": ["pro"]}, {"pack": "starter"}, {"reason": "product"}),
        ({"packs": ["pro"], "custom_amounts": False}, {"amount_credits": "12"}, {"reason": "product"}),
        (
            {"minimum": [usd(1000)]},
            {"pack": "starter"},
            {"reason": "minimum_purchase", "minimum": {"amount_minor": 1000, "currency": "usd"}},
        ),
        ({"minimum": [{"amount_minor": 1, "currency": "eur"}]}, {"pack": "starter"}, {"reason": "currency"}),
        (
            {"gives": {"kind": "amount", "amounts": [{"amount_minor": 1, "currency": "eur"}]}},
            {"pack": "starter"},
            {"reason": "currency"},
        ),
    ],
)
async def test_who_may_use_a_code_is_told_why_it_is_not_for_his_order(
    shop: Shop, terms: dict[str, Any], order: dict[str, Any], facts: Object
) -> None:
    buyer = a_buyer()
    await shop.put_code("SPRING", **{"gives": QUARTER_OFF, "accounts": [buyer.account], **terms})
    with pytest.raises(PromoCodeUnfitError) as unfit:
        await shop.start(buyer, promo_code="SPRING", **order)
    assert (unfit.value.code.code, unfit.value.facts) == ("PAY003", facts)
    with pytest.raises(PromoCodeRefusedError):  # who may not use it is told what everybody is
        await shop.start(promo_code="SPRING", **order)
    assert await nothing_is_recorded(shop)


@pytest.mark.parametrize(
    "gives",
    [
        {"kind": "percent", "percent": 96},
        {"kind": "amount", "amounts": [usd(950)]},
        {**FIVE_OFF, "amounts": [usd(5000)]},
    ],
)
async def test_a_discount_never_leaves_less_than_stripe_charges(shop: Shop, gives: Object) -> None:
    await shop.put_code("ALMOST-FREE", gives)
    with pytest.raises(AmountNotChargeableError, match=r"less than 0\.50 USD to pay"):
        await shop.start(pack="starter", promo_code="ALMOST-FREE")
    assert await nothing_is_recorded(shop)


async def test_the_smallest_charge_is_charged(shop: Shop) -> None:
    await shop.put_code("CHEAP", {"kind": "amount", "amounts": [usd(949)]})
    assert (await shop.paid(pack="starter", promo_code="CHEAP")).quote.price == usd(50)


async def test_a_retry_under_the_same_key_redeems_once(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.put_code("SPRING", QUARTER_OFF)
    first, *others = await asyncio.gather(
        *(shop.start_insisting(buyer, key="k", pack="pro", promo_code="SPRING") for _ in range(6))
    )
    assert all(other == first for other in others)
    assert first == await shop.start(buyer, key="k", pack="pro", promo_code="spring")
    assert await shop.redeemed("SPRING") == 1
    assert len(await shop.at_stripe(buyer)) == 1


async def test_who_has_paid_in_test_mode_alone_is_a_new_customer_once_money_is_real(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.paid(buyer, pack="starter")
    await shop.put_code("FIRST", QUARTER_OFF, new_customers_only=True)
    live = replace(shop, stripe=Stripe("sk_live_1"))
    assert (await live.quote(buyer, pack="pro", promo_code="FIRST")).discount == usd(625)
    with pytest.raises(PromoCodeRefusedError):
        await shop.quote(buyer, pack="pro", promo_code="FIRST")
    await live.stripe.stop()
