"""Loyalty tiers: by what an account has spent when its purchase starts, and stacked with volume and promo codes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.http.payments_v1 import Buyer, LoyaltyStanding
from libs.contracts.money import Money
from services.payments.clients.stripe import Stripe
from services.payments.domain.errors import AmountNotChargeableError
from services.payments.operations import loyalty
from services.payments.store import loyalty as store
from tests.integration.payments.banks import disputed, news
from tests.integration.payments.shop import Shop, a_buyer, usd

HALF_OFF = {"kind": "percent", "percent": 50}
CATALOGUE = Catalogue.of(
    {
        "name": "loyal",
        "packs": [
            {"id": "small", "name": "Small", "credits": "10", "prices": [usd(1000).model_dump()]},
            {"id": "large", "name": "Large", "credits": "100", "bonus": "5", "prices": [usd(9000).model_dump()]},
        ],
        "custom_amount": {
            "per_credit": [usd(100).model_dump()],
            "minimum": "0.1",
            "maximum": "1000",
            "volume": [{"from_credits": "50", "percent_off": 10}],
        },
        "loyalty": {
            "tiers": [
                {"id": "silver", "name": "Silver", "from_spend": [usd(2000).model_dump()], "percent_off": 5},
                {"id": "gold", "name": "Gold", "from_spend": [usd(9000).model_dump()], "bonus_percent": 20},
            ],
            "bonus_expires_after_days": 30,
        },
        "policies": {"customer_refunds": True},
        "price_book": {"version": "loyal-1"},
    }
)


@pytest.fixture
def loyal(shop: Shop) -> Shop:
    """The shop, with tiers."""
    return replace(shop, catalogue=CATALOGUE)


async def standing(shop: Shop, buyer: Buyer) -> LoyaltyStanding:
    return await loyalty.show_standing(shop.pool, shop.catalogue, buyer.account, livemode=shop.stripe.livemode)


async def tier(shop: Shop, buyer: Buyer) -> str | None:
    known = (await standing(shop, buyer)).tier
    return known.id if known else None


async def test_what_an_account_has_spent_decides_what_its_next_purchase_costs(loyal: Shop) -> None:
    buyer = a_buyer()
    first = await loyal.paid(buyer, pack="small")
    assert (first.quote.tier, first.quote.price) == (None, usd(1000))
    now = await standing(loyal, buyer)
    assert (now.spend, now.tier, now.next and now.next.left) == ([usd(1000)], None, [usd(1000)])
    await loyal.paid(buyer, pack="small")
    third = await loyal.paid(buyer, pack="small")
    assert (third.quote.list_price, third.quote.price, third.quote.tier and third.quote.tier.id) == (
        usd(1000), usd(950), "silver",
    )  # fmt: skip
    assert [payment["amount"] for payment in await loyal.at_stripe(buyer)] == [1000, 1000, 950]
    [told] = await loyal.successes(third)
    assert (told.paid, told.discount, told.tier) == (usd(950), usd(50), "Silver")
    assert [(taken.by, taken.name, taken.amount) for taken in told.discounts] == [("tier", "Silver", usd(50))]
    assert (await standing(loyal, buyer)).spend == [usd(2950)]


async def test_a_bonus_by_the_tier_is_a_lot_of_its_own_that_goes_back_with_the_money(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(buyer, pack="large")
    purchase = await loyal.paid(buyer, pack="large")
    [told] = await loyal.successes(purchase)
    assert [(lot.kind, format_credits(lot.credits), format_credits(lot.bonus)) for lot in told.lots] == [
        ("purchased", "105", "5"),
        ("promotional", "20", "20"),
    ]
    assert [lot.expires_at and (lot.expires_at - told.occurred_at).days for lot in told.lots] == [None, 30]
    await loyal.tell_credits(purchase)
    await loyal.refund(purchase, 4500)
    [partly] = await loyal.refunded(purchase)
    assert [(lot.kind, lot.credits) for lot in partly.take_back] == [
        ("purchased", 52 * MICRO + MICRO // 2),
        ("promotional", 10 * MICRO),
    ]


async def test_volume_tier_and_promo_code_stack_in_that_order_and_the_purchase_keeps_them(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(buyer, amount_credits="20")
    await loyal.put_code("HALF", HALF_OFF, minimum=[usd(10_000)])
    purchase = await loyal.paid(buyer, amount_credits="101", promo_code="HALF")
    quote = purchase.quote  # read from the database
    assert [(taken.by, taken.amount.amount_minor) for taken in quote.discounts] == [
        ("volume", 1010),
        ("tier", 455),  # 5 % of 90.90 are 4.545
        ("promo_code", 4318),
    ]
    assert (quote.list_price, quote.discount, quote.price) == (usd(10_100), usd(5783), usd(4317))
    assert (await loyal.at_stripe(buyer))[-1]["amount_received"] == 4317
    assert (await loyal.listed(buyer))[0].quote == quote


async def test_what_the_discounts_together_would_leave_is_never_less_than_stripe_charges(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(buyer, amount_credits="20")
    assert (await loyal.quote(buyer, amount_money=usd(50))).price == usd(50)  # 5 % less would be too little
    await loyal.put_code("MUCH", {"kind": "amount", "amounts": [usd(930)]})
    with pytest.raises(AmountNotChargeableError, match=r"less than 0\.50 USD"):
        await loyal.start(buyer, pack="small", promo_code="MUCH")
    assert len(await loyal.listed(buyer)) == 1


async def test_purchases_at_once_below_a_tier_are_all_quoted_without_it_and_the_next_one_has_it(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(buyer, pack="small")
    both = await asyncio.gather(*(loyal.start_insisting(buyer, key=key, pack="small") for key in ("k1", "k2")))
    for purchase in both:
        assert await loyal.pay(purchase) == "succeeded"
        assert (await loyal.confirm(purchase)).quote.price == usd(1000)
    again = await loyal.start(buyer, key="k1", pack="small")
    assert (again.id, again.quote.price) == (both[0].id, usd(1000))  # what was quoted holds
    assert (await loyal.start(buyer, pack="small")).quote.price == usd(950)


async def test_refunds_and_disputes_lower_the_spend_and_with_it_the_tier(loyal: Shop) -> None:
    buyer = a_buyer()
    first = await loyal.paid(buyer, pack="small")
    second = await loyal.paid(buyer, pack="small")
    cheap = await loyal.start(buyer, pack="small")
    assert await tier(loyal, buyer) == "silver"
    await loyal.refund(first, 1)
    assert (await tier(loyal, buyer), (await standing(loyal, buyer)).spend) == (None, [usd(1999)])
    assert (await loyal.start(buyer, pack="small")).quote.price == usd(1000)
    assert await loyal.pay(cheap) == "succeeded"
    assert (await loyal.confirm(cheap)).quote.price == usd(950)  # a purchase keeps what it was quoted
    assert await tier(loyal, buyer) == "silver"
    await loyal.tell_credits(second)
    await disputed(loyal, second)
    await news(loyal, second)
    assert (await standing(loyal, buyer)).spend == [usd(1949)]
    assert await tier(loyal, buyer) is None


async def test_what_is_not_paid_and_what_others_paid_is_no_spend(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(a_buyer(), pack="large")
    await loyal.start(buyer, pack="large")
    now = await standing(loyal, buyer)
    assert (now.spend, now.tier) == ([], None)


async def test_without_tiers_the_spend_is_told_alone(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.paid(buyer, pack="starter")
    now = await standing(shop, buyer)
    assert (now.spend, now.tier, now.next) == ([usd(999)], None, None)


async def test_spend_is_counted_in_each_currency_by_itself(loyal: Shop) -> None:
    euro: dict[str, Any] = Money(amount_minor=1500, currency="eur").model_dump()
    packs = [pack.model_copy(update={"prices": [*pack.prices, Money(**euro)]}) for pack in loyal.catalogue.packs]
    both = replace(loyal, catalogue=loyal.catalogue.model_copy(update={"packs": packs}))
    buyer = a_buyer()
    await both.paid(buyer, pack="small")
    await both.paid(buyer, pack="small", currency="eur")
    assert (await standing(both, buyer)).spend == [Money(**euro), usd(1000)]
    assert await tier(both, buyer) is None  # 10 dollars and 15 euros are not 20 dollars
    await both.paid(buyer, pack="small")
    in_euros = await both.quote(buyer, pack="small", currency="eur")
    assert in_euros.price == Money(amount_minor=1425, currency="eur")  # but whoever has a tier has it in all


async def test_the_spend_of_one_account_is_read_by_an_index(loyal: Shop) -> None:
    await loyal.paid(a_buyer(), pack="small")
    async with loyal.pool.connection() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = await conn.fetchval(
            "EXPLAIN (FORMAT JSON) SELECT sum(amount_minor) FROM purchase WHERE account = $1 AND paid_at IS NOT NULL",
            a_buyer().account,
        )
        assert "purchase_paid_of_account" in str(plan)
        assert await store.spend_of(conn, a_buyer().account, livemode=False) == {}


async def test_what_was_spent_in_test_mode_makes_no_tier_once_money_is_real(loyal: Shop) -> None:
    buyer = a_buyer()
    await loyal.paid(buyer, pack="large")
    live = replace(loyal, stripe=Stripe("sk_live_1"))
    assert ((await standing(live, buyer)).spend, await tier(live, buyer)) == ([], None)
    assert ((await live.quote(buyer, pack="small")).tier, await tier(loyal, buyer)) == (None, "gold")
    await live.stripe.stop()
