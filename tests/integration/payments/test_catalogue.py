"""Applying a catalogue: the database and Stripe are as the file says, once, whatever happens in between."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from stripe import StripeClient

from libs.chassis.errors import UnavailableError
from services.payments.clients.stripe_catalogue import StripeCatalogue
from services.payments.domain.errors import PromoCodeRefusedError
from services.payments.operations import catalogue as operations
from tests.integration.payments import test_dying
from tests.integration.payments.shop import Object, Shop
from tests.integration.payments.test_dying import Arm, DiedError
from tests.integration.payments.window import FIVE_OFF, GIFT, MORE, PRO, QUARTER_OFF, SOLD, STARTER, Window

arm = test_dying.arm


@pytest.fixture
def window(shop: Shop, dashboard: StripeClient) -> Window:
    return Window(shop, dashboard)


def priced(pack: Object, amount_minor: int) -> Object:
    return {**pack, "prices": [{"amount_minor": amount_minor, "currency": "usd"}]}


async def everything_is_there_once(window: Window) -> None:
    products = await window.at_stripe("product")
    assert sorted((window.plain(each["metadata"]["item"]), each["name"], each["active"]) for each in products) == [
        ("gift_card:starter", "Gift", True),
        ("pack:pro", "Pro", True),
        ("pack:starter", "Starter", True),
    ]
    assert await window.prices() == {
        "scrip_starter_usd": 999,
        "scrip_pro_usd": 2499,
        "scrip_pro_eur": 2299,
        "scrip_gift_card:starter_usd": 999,
    }
    assert len(await window.at_stripe("price")) == 4
    assert len(await window.at_stripe("coupon")) == 2
    codes = await window.at_stripe("promotion_code")
    assert sorted((window.plain(each["code"]), each["active"]) for each in codes) == [
        ("SPRING", True),
        ("TAKE5-", True),
    ]
    assert {(name, item.active) for name, item in (await window.items()).items()} == {
        ("pack:starter", True),
        ("pack:pro", True),
        ("gift_card:starter", True),
        ("promo_code:SPRING", True),
        ("promo_code:TAKE5-", True),
        ("promo_code:MORE", True),
    }


async def test_a_file_is_applied_to_the_database_and_to_stripe_and_then_there_is_nothing_to_do(window: Window) -> None:
    file = window.file(**SOLD)
    planned = await window.plan(file)
    assert "database: pack starter: new: name Starter, credits 50, prices 9.99 USD" in planned
    assert "database: promo code MORE: new: gives kind bonus_credits credits 20" in planned
    assert "stripe: pack pro: price 22.99 EUR: new" in planned
    assert "stripe: promo code TAKE5-: promotion code: new" in planned
    assert not [line for line in planned if line.startswith("stripe: promo code MORE")]
    done = await window.apply(file)
    assert len(done) == len(planned)
    await everything_is_there_once(window)
    assert await window.plan(file) == []


async def test_applying_again_asks_stripe_for_nothing(window: Window) -> None:
    file = window.file(**SOLD)
    await window.apply(file)
    before = await window.last_request()
    assert await window.apply(file) == []
    assert await window.last_request() == before


async def test_what_stripe_can_keep_of_a_codes_terms_is_kept_there(window: Window) -> None:
    await window.apply(window.file(packs=[STARTER], promo_codes=[QUARTER_OFF, FIVE_OFF]))
    quarter, five = await window.at_stripe("coupon")
    assert (quarter["percent_off"], quarter["duration"], five["amount_off"], five["currency"]) == (
        25,
        "once",
        500,
        "usd",
    )
    spring, take = await window.at_stripe("promotion_code")
    assert (spring["promotion"]["coupon"], spring["max_redemptions"]) == (quarter["id"], 500)
    assert take["restrictions"] == {
        "first_time_transaction": True,
        "minimum_amount": 2500,
        "minimum_amount_currency": "usd",
    }


@pytest.mark.parametrize(
    "terms",
    [
        {"packs": ["starter~"]},
        {"custom_amounts": False},
        {"accounts": ["acc_0123456789abcdef0123456789abcdef"]},
        {"starts_at": "2100-01-01T00:00:00Z"},
        {"ends_at": "2020-01-01T00:00:00Z"},
        {"code": "SPRING_~"},
        {"gives": {"kind": "free_trial", "days": 14}},
        {"gives": {"kind": "amount", "amounts": [{"amount_minor": 500, "currency": c} for c in ("usd", "eur")]}},
        {"minimum": [{"amount_minor": 500, "currency": c} for c in ("usd", "eur")]},
    ],
)
async def test_a_code_whose_terms_stripe_cannot_keep_is_none_at_stripe(window: Window, terms: Object) -> None:
    done = await window.apply(window.file(packs=[STARTER], promo_codes=[{**QUARTER_OFF, **terms}]))
    assert len([line for line in done if line.startswith("database: promo code SPRING")]) == 1
    assert await window.at_stripe("coupon") == await window.at_stripe("promotion_code") == []


async def test_a_code_comes_to_stripe_when_it_begins_and_ends_there_by_itself(window: Window) -> None:
    begins, ends = (window.shop.clock.now() + timedelta(days=days) for days in (1, 2))
    code = {**QUARTER_OFF, "starts_at": begins.isoformat(), "ends_at": ends.isoformat()}
    file = window.file(promo_codes=[code])
    await window.apply(file)
    assert await window.at_stripe("promotion_code") == []
    window.shop.travel(timedelta(days=1, hours=1))
    assert await window.apply(file) == [
        "stripe: promo code SPRING: coupon: made",
        "stripe: promo code SPRING: promotion code: made",
    ]
    [made] = await window.at_stripe("promotion_code")
    assert made["expires_at"] == int(ends.timestamp())
    window.shop.travel(timedelta(days=3))
    assert await window.apply(file) == []


async def test_a_changed_amount_is_a_new_price_that_takes_the_lookup_key_over(window: Window) -> None:
    await window.apply(window.file(packs=[STARTER]))
    dearer = window.file(packs=[priced(STARTER, 1099)])
    assert await window.plan(dearer) == [
        "database: pack starter: prices: 10.99 USD, not 9.99 USD",
        "stripe: pack starter: price 10.99 USD: new",
        "stripe: pack starter: price 9.99 USD: ends",
    ]
    assert await window.apply(dearer) == [
        "database: pack starter: prices: 10.99 USD, not 9.99 USD",
        "stripe: pack starter: price 10.99 USD: made",
        "stripe: pack starter: price 9.99 USD: ended",
    ]
    assert await window.prices() == {"scrip_starter_usd": 1099}
    await window.apply(window.file(packs=[STARTER]))
    assert await window.prices() == {"scrip_starter_usd": 999}
    assert [each["unit_amount"] for each in await window.at_stripe("price")] == [999, 1099]  # the first came back


async def test_a_changed_name_and_changed_credits_change_no_price(window: Window) -> None:
    await window.apply(window.file(packs=[STARTER]))
    assert await window.apply(window.file(packs=[{**STARTER, "name": "Start", "credits": "60", "bonus": "1"}])) == [
        "database: pack starter: name: Start, not Starter",
        "database: pack starter: credits: 60, not 50",
        "database: pack starter: bonus: 1, not nothing",
        "stripe: pack starter: product: changed",
    ]
    assert [each["name"] for each in await window.at_stripe("product")] == ["Start"]
    assert len(await window.at_stripe("price")) == 1


async def test_what_is_gone_from_the_file_is_retired_and_what_comes_back_is_sold_again(window: Window) -> None:
    whole, less = window.file(**SOLD), window.file(packs=[STARTER])
    await window.apply(whole)
    planned = await window.plan(less)
    assert "database: pack pro: retired: out of sale once services run without it" in planned
    assert "database: promo code SPRING: retired: it gives nothing" in planned
    await window.apply(less)
    assert {name for name, item in (await window.items()).items() if item.active} == {"pack:starter"}
    products = await window.at_stripe("product")
    assert [window.plain(each["metadata"]["item"]) for each in products if each["active"]] == ["pack:starter"]
    assert await window.prices() == {"scrip_starter_usd": 999}
    assert [each["active"] for each in await window.at_stripe("promotion_code")] == [False, False]
    with pytest.raises(PromoCodeRefusedError):
        await window.shop.start(promo_code=f"SPRING{window.mark}")
    assert "database: pack pro: back again" in await window.plan(whole)
    await window.apply(whole)
    await everything_is_there_once(window)
    assert await window.plan(whole) == []


async def test_a_code_on_other_terms_is_another_code_at_stripe_under_the_same_name(window: Window) -> None:
    await window.apply(window.file(promo_codes=[QUARTER_OFF]))
    half = {**QUARTER_OFF, "gives": {"kind": "percent", "percent": 50}, "total_limit": 10}
    assert await window.apply(window.file(promo_codes=[half])) == [
        "database: promo code SPRING: gives.percent: 50, not 25",
        "database: promo code SPRING: total_limit: 10, not 500",
        "stripe: promo code SPRING: coupon: made",
        "stripe: promo code SPRING: promotion code: ended",
        "stripe: promo code SPRING: promotion code: made",
    ]
    codes = await window.at_stripe("promotion_code")
    assert [(each["code"] == f"SPRING{window.mark}", each["active"]) for each in codes] == [(True, False), (True, True)]


async def test_times_that_are_written_otherwise_are_the_same_times(window: Window) -> None:
    for ends_at in ("2100-01-01T00:00:00Z", "2100-01-01T02:00:00+02:00"):
        done = await window.apply(window.file(promo_codes=[{**MORE, "ends_at": ends_at}]))
    assert done == []


POINTS = [
    "payments.catalogue.before_commit",
    "payments.catalogue.after_commit",
    "payments.catalogue.before_call",
    "payments.catalogue.before_answer",
    "payments.catalogue.after_answer",
]


@pytest.mark.parametrize("point", POINTS)
async def test_an_apply_that_died_is_gone_on_with(window: Window, arm: Arm, point: str) -> None:
    """It dies at every step anew, so that each has to be gone on with."""
    old = {
        **SOLD,
        "packs": [priced(STARTER, 899), PRO],
        "promo_codes": [{**QUARTER_OFF, "total_limit": 3}, FIVE_OFF, MORE],
    }
    for file in (window.file(**old), window.file(**SOLD)):
        for _ in range(100):
            arm(point)
            try:
                step = await window.step(file)
            except DiedError:
                arm("")
                await window.step(file)  # one step of more, so that also what looks for what was lost goes on
                continue
            arm("")
            if step.left == 0:
                break
        assert await window.plan(file) == []
    assert len(await window.at_stripe("price")) == 5
    assert [p["unit_amount"] for p in await window.at_stripe("price") if not p["active"]] == [899]
    assert len(await window.at_stripe("promotion_code")) == 3
    assert len(await window.at_stripe("product")) == 3
    assert len(await window.at_stripe("coupon")) == 2


FAULTS = ["hang_before", "hang_after", "reset_after", "500_after", "429"]


@pytest.mark.parametrize("kind", FAULTS)
async def test_an_answer_that_was_lost_is_looked_for(window: Window, kind: str) -> None:
    file = window.file(**SOLD)
    for path in ("products", "coupons", "prices", "promotion_codes"):
        await window.shop.faults({"kind": kind, "method": "POST", "path": f"/v1/{path}"})
        with pytest.raises(UnavailableError):
            await window.apply(file)
    await window.shop.faults()
    await window.apply(file)
    await everything_is_there_once(window)


async def test_two_who_apply_at_once_are_one(window: Window) -> None:
    file = window.file(**SOLD)

    async def insist() -> int:
        waited = 0
        while True:
            step = await window.step(file)
            waited += step.busy
            if step.left == 0 and not step.busy:
                return waited

    assert sum(await asyncio.gather(*(insist() for _ in range(3)))) > 0
    await everything_is_there_once(window)


async def test_a_database_that_forgot_finds_everything_again_at_stripe(window: Window) -> None:
    file = window.file(**SOLD)
    await window.apply(file)
    async with window.shop.pool.connection() as conn:
        await conn.execute("UPDATE counterpart SET told = 0, stripe_id = NULL")
    before = await window.last_request()
    await window.apply(file)
    assert await window.changes_asked(after=before) == []
    await everything_is_there_once(window)


async def test_what_stripe_refuses_is_told_and_can_be_tried_again(window: Window, dashboard: StripeClient) -> None:
    """Somebody made a code of the same name at the dashboard."""
    coupon = await dashboard.v1.coupons.create_async({"percent_off": 5, "duration": "once"})
    code: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": f"SPRING{window.mark}"}
    theirs = await dashboard.v1.promotion_codes.create_async(code)
    file = window.file(promo_codes=[QUARTER_OFF])
    for _ in range(2):
        step = await window.step(file)
        assert step.refused is not None
        assert "already exists" in step.refused.reason
        assert step.left == 1
    await dashboard.v1.promotion_codes.update_async(theirs.id, {"active": False})
    assert await window.apply(file) == ["stripe: promo code SPRING: promotion code: made"]


async def test_what_is_there_is_shown_with_what_stands_for_it_at_stripe(window: Window) -> None:
    await window.apply(window.file(packs=[STARTER], gift_cards=[GIFT]))
    items = await window.items()
    assert items["pack:starter"].terms["credits"] == "50"
    kinds = [(each.kind, each.told, each.stripe_id is not None) for each in items["pack:starter"].stripe]
    assert kinds == [("product", True, True), ("price", True, True)]


async def test_what_services_do_otherwise_by_the_file_needs_their_restart(window: Window) -> None:
    running = window.file(packs=[STARTER])
    file = window.file(packs=[PRO], limits={"transactions_per_day": 100}, policies={"customer_refunds": True})
    stripe = StripeCatalogue(window.shop.stripe)
    planned = await operations.plan(window.shop.pool, stripe, file, running=running, clock=window.shop.clock)
    assert [each.change for each in planned.changes if each.place == "restart"] == [
        "packs: otherwise than what they sell by",
        "policies.customer_refunds: yes, not no",
        "limits.transactions_per_day: 100, not nothing",
    ]
