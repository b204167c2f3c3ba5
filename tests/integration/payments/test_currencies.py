"""Currencies of every kind, from the quote to the receipt: what we say and what Stripe moves are the same integers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemLoader

from libs.chassis.errors import DomainError
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.money import Money
from services.notifications.domain.messages import Receipt, RefundNotice
from services.notifications.domain.rendering import Templates
from services.payments.domain.errors import AmountNotChargeableError, CurrencyNotOfferedError, RefundTooLargeError
from tests.integration.payments.banks import disputed, news
from tests.integration.payments.gifts import buy as buy_gift_card
from tests.integration.payments.shop import Object, Shop, a_buyer

TEMPLATES = Path(__file__).parents[3] / "services" / "notifications" / "templates"


@dataclass(frozen=True)
class Case:
    """A currency: what a pack and a credit cost in it, what of that is refunded, and how people write it all."""

    currency: str
    pack: int
    code_off: int
    paid: str
    refund: int
    refunded: str
    per_credit: int
    custom: int
    """What 12.345 credits cost."""
    unchargeable: int
    smallest: int

    def money(self, amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=self.currency)


CASES = [
    Case("usd", 2499, 500, "19.99 USD", 333, "3.33 USD", 20, 247, 100_000_000, 50),
    Case("eur", 2299, 450, "18.49 EUR", 111, "1.11 EUR", 19, 235, 100_000_000, 50),
    Case("jpy", 3500, 700, "2800 JPY", 999, "999 JPY", 30, 371, 100_000_000, 50),
    Case("kwd", 7_500, 1_250, "6.250 KWD", 1_110, "1.110 KWD", 65, 810, 7_505, 10),
]
every_currency = pytest.mark.parametrize("case", CASES, ids=lambda case: case.currency)


def a_catalogue() -> Catalogue:
    prices = [case.money(case.pack).model_dump() for case in CASES]
    gift = [case.money(case.pack).model_dump() for case in CASES]
    return Catalogue.of(
        {
            "name": "world",
            "packs": [{"id": "pro", "name": "Pro", "credits": "150", "bonus": "10", "prices": prices}],
            "gift_cards": [{"id": "gift-50", "name": "Gift card", "credits": "50", "prices": gift}],
            "custom_amount": {
                "per_credit": [case.money(case.per_credit).model_dump() for case in CASES],
                "minimum": "0.1",
                "maximum": "10000",
            },
            "policies": {"customer_refunds": True},
            "price_book": {"version": "world-1"},
        }
    )


@pytest.fixture
def world(shop: Shop) -> Shop:
    """The shop, which sells in all of them."""
    return replace(shop, catalogue=a_catalogue())


async def intent_of(shop: Shop, purchase: Purchase) -> Object:
    """Read a payment from the sandbox's books."""
    payment = await shop.payment_intent(purchase)
    found: list[Object] = (await shop.sandbox.get("books"))["payment_intents"]
    return next(one for one in found if one["id"] == payment)


def shown(message: Receipt | RefundNotice, shop: Shop) -> str:
    """Render a mail's text."""
    return Templates(FileSystemLoader(TEMPLATES), unit=shop.catalogue.unit, sender="S").render(message, name="Ada").text


@every_currency
async def test_a_purchase_is_the_same_amount_from_quote_to_receipt(world: Shop, case: Case) -> None:
    code = f"OFF-{case.currency.upper()}"
    off = {"kind": "amount", "amounts": [case.money(case.code_off).model_dump()]}
    await world.put_code(code, off, minimum=[case.money(case.pack)])
    purchase = await world.paid(pack="pro", currency=case.currency, promo_code=code)
    left = case.pack - case.code_off
    assert (purchase.quote.list_price, purchase.quote.discount) == (case.money(case.pack), case.money(case.code_off))
    assert (purchase.quote.price, str(purchase.quote.price)) == (case.money(left), case.paid)
    payment = await intent_of(world, purchase)
    assert (payment["amount"], payment["amount_received"], payment["currency"]) == (left, left, case.currency)
    [told] = await world.successes(purchase)
    assert (told.paid, [lot.credits for lot in told.lots]) == (case.money(left), [160 * MICRO])
    await world.tell_credits(purchase)
    assert await world.bank.ledger.available(purchase.account) == 160 * MICRO
    receipt = shown(Receipt.of(told), world)
    for line in (f"List price {case.money(case.pack)}", f"-{case.money(case.code_off)}", f"Paid       {case.paid}"):
        assert line in receipt


@every_currency
async def test_a_part_that_is_refunded_takes_its_share_of_the_credits_and_no_more(world: Shop, case: Case) -> None:
    purchase = await world.paid(pack="pro", currency=case.currency)
    await world.tell_credits(purchase)
    await world.refund(purchase, case.refund)
    assert (await intent_of(world, purchase))["amount_refunded"] == case.refund
    [partly] = await world.refunded(purchase)
    taken = 160 * MICRO * case.refund // case.pack
    assert (partly.refunded, [lot.credits for lot in partly.take_back]) == (case.money(case.refund), [taken])
    await world.tell_credits(purchase)
    assert await world.bank.ledger.available(purchase.account) == 160 * MICRO - taken
    notice = shown(RefundNotice.of(partly, amount_minor=case.refund), world)
    assert f"Refunded   {case.refunded}" in notice
    assert f"Paid       {case.money(case.pack)}, " in notice
    assert "Visa ending in 4242" in notice
    await world.refund(purchase)
    await world.tell_credits(purchase)
    assert await world.bank.ledger.available(purchase.account) == 0
    assert ((await intent_of(world, purchase))["amount_refunded"], (await world.show(purchase)).state) == (
        case.pack, "refunded",
    )  # fmt: skip


@every_currency
async def test_an_amount_of_ones_own_choice_costs_what_can_be_charged(world: Shop, case: Case) -> None:
    by_credits = await world.paid(amount_credits="12.345", currency=case.currency)
    assert (by_credits.quote.price, by_credits.quote.credits) == (case.money(case.custom), 12_345_000)
    assert (await intent_of(world, by_credits))["amount_received"] == case.custom
    by_money = await world.paid(amount_money=case.money(case.custom).model_dump())
    assert by_money.quote.credits == case.custom * MICRO // case.per_credit
    assert format_credits(by_money.quote.credits).startswith("12.")
    assert (await intent_of(world, by_money))["amount_received"] == case.custom


@every_currency
async def test_stripes_own_page_asks_for_the_same_amount(world: Shop, case: Case) -> None:
    purchase = await world.start_checkout(pack="pro", currency=case.currency)
    await world.pay_page(purchase)
    assert (await world.confirm(purchase)).state == "succeeded"
    assert (await intent_of(world, purchase))["amount_received"] == case.pack
    [told] = await world.successes(purchase)
    assert (told.paid, told.card and told.card.last4) == (case.money(case.pack), "4242")


@every_currency
async def test_a_gift_card_costs_and_is_worth_what_it_says(world: Shop, case: Case) -> None:
    purchase = await buy_gift_card(world, currency=case.currency)
    assert await world.pay(purchase) == "succeeded"
    assert (await world.confirm(purchase)).quote.price == case.money(case.pack)
    async with world.pool.connection() as conn:
        cost = await conn.fetchrow("SELECT cost_minor, currency FROM voucher WHERE purchase = $1", purchase.id)
    assert tuple(cost or ()) == (case.pack, case.currency)


@every_currency
async def test_what_a_bank_takes_is_the_amount_of_the_payment(world: Shop, case: Case) -> None:
    purchase = await world.paid(pack="pro", currency=case.currency)
    await world.tell_credits(purchase)
    await disputed(world, purchase)
    await news(world, purchase)
    assert (await intent_of(world, purchase))["amount_disputed"] == case.pack
    assert await world.bank.ledger.available(purchase.account) == 0
    async with world.pool.connection() as conn:
        assert await conn.fetchval("SELECT withdrawn_minor FROM purchase WHERE id = $1", purchase.id) == case.pack


@every_currency
async def test_what_cannot_be_charged_or_given_back_is_refused_and_nothing_changes(world: Shop, case: Case) -> None:
    buyer = a_buyer()
    too_little = case.money(case.smallest - 1)
    for money in (case.money(case.unchargeable), too_little):
        with pytest.raises(AmountNotChargeableError):
            await world.start(buyer, amount_money=money.model_dump())
    assert await world.states() == []
    purchase = await world.paid(buyer, pack="pro", currency=case.currency)
    wrong = [case.pack + 10, 0, -10] + ([1_115] if case.currency == "kwd" else [])
    for amount in wrong:
        with pytest.raises((RefundTooLargeError, AmountNotChargeableError)):
            await world.refund(purchase, amount)
    assert (await intent_of(world, purchase))["amount_refunded"] == 0
    assert (await world.show(purchase)).state == "succeeded"


@pytest.mark.parametrize(
    "order",
    [
        {"pack": "pro", "currency": "chf"},
        {"pack": "pro", "currency": "xyz"},
        {"amount_credits": "20", "currency": "bhd"},
        {"amount_money": {"amount_minor": 5000, "currency": "gbp"}},
    ],
)
async def test_a_currency_in_which_nothing_is_sold_is_refused_and_nothing_changes(
    world: Shop, order: dict[str, Any]
) -> None:
    buyer = a_buyer()
    for attempt in (world.start, world.quote):
        with pytest.raises(CurrencyNotOfferedError):
            await attempt(buyer, **order)
    with pytest.raises(DomainError):
        await buy_gift_card(world, buyer, currency="chf")
    async with world.pool.connection() as conn:
        kept = await conn.fetchval("SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM idempotency_key)")
    assert (kept, await world.at_stripe(buyer)) == (0, [])


async def test_a_refund_in_another_currency_than_was_paid_is_refused(world: Shop) -> None:
    purchase = await world.paid(pack="pro", currency="jpy")
    euros = purchase.model_copy(update={"quote": purchase.quote.model_copy(update={"price": CASES[1].money(100)})})
    with pytest.raises(DomainError, match="paid in jpy"):
        await world.refund(euros, 100)
    assert (await intent_of(world, purchase))["amount_refunded"] == 0
