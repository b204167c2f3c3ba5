"""Money in every kind of currency is the same number of the same units here, at Stripe, on paper and in the ledger."""

from dataclasses import replace

import pytest

from deploy.stripe_sandbox import money as stripes
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.money import SMALLEST_CHARGE, THREE_DECIMAL, WHOLE_UNITS_ONLY, ZERO_DECIMAL, Money, smallest_step
from tests.integration.payments.shop import Shop, a_buyer

TWO_DECIMAL = (frozenset(SMALLEST_CHARGE) | WHOLE_UNITS_ONLY) - ZERO_DECIMAL
WRITTEN = {0: "123400 {}", 2: "1234.00 {}", 3: "123.400 {}"}
AMOUNT = 123_400


def test_currencies_have_as_many_decimals_as_stripe_says() -> None:
    assert stripes.WITHOUT_DECIMALS - {"ugx"} == ZERO_DECIMAL
    assert stripes.WITH_THREE_DECIMALS == THREE_DECIMAL


@pytest.mark.parametrize(
    ("places", "currencies"), [(0, ZERO_DECIMAL), (2, TWO_DECIMAL), (3, THREE_DECIMAL)], ids=["none", "two", "three"]
)
async def test_an_amount_is_the_same_everywhere_and_goes_back_as_it_came(
    shop: Shop, places: int, currencies: frozenset[str]
) -> None:
    prices = [{"amount_minor": AMOUNT, "currency": currency} for currency in sorted(currencies)]
    pack = {"id": "all", "name": "All", "credits": "10", "prices": prices}
    sold = {"name": "all", "packs": [pack], "price_book": {"version": "v1"}}
    shop, buyer = replace(shop, catalogue=Catalogue.model_validate(sold)), a_buyer()
    for currency in sorted(currencies):
        price = Money(amount_minor=AMOUNT, currency=currency)
        assert str(price) == WRITTEN[places].format(currency.upper())
        purchase = await shop.paid(buyer, pack="all", currency=currency)
        [told] = await shop.successes(purchase)
        assert told.paid == price
        await shop.tell_credits(purchase)
        part = smallest_step(currency) * 10
        assert (await shop.refund(purchase, part)).amount == Money(amount_minor=part, currency=currency)
        [payment] = [p for p in await shop.at_stripe(buyer) if p["id"] == told.payment_intent]
        assert (payment["amount_received"], payment["currency"], payment["amount_refunded"]) == (AMOUNT, currency, part)
        async with shop.bank.ledger.pool.connection() as conn:
            reference = ids.show("purchase", told.purchase)
            [lot] = await conn.fetch("SELECT cost_minor, currency FROM lot WHERE reference_id = $1", reference)
        assert tuple(lot) == (AMOUNT, currency)
