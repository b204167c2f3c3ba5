"""Saved cards on the whole stack: saved, paid with, asked about, declined, removed; also though a service dies."""

from functools import partial

import pytest

from deploy.cli.customer import Customer, Refused, wait_for
from deploy.embedded.stack import Stack
from libs.contracts import ids
from libs.contracts.http.payment_methods_v1 import PaymentMethod
from tests.e2e.conftest import SignUp
from tests.e2e.test_crashes import killed_at, persistently

ASKS = "pm_card_authenticationRequired"
DECLINED_WHEN_CHARGED = "pm_card_chargeCustomerFail"
WELCOME = 10_000_000
STARTER = 50_000_000

DYING = [
    "payments.start.after_commit",
    "payments.pay.before_commit",
    "payments.confirm.before_look",
    "payments.look.before_commit",
    "payments.answer.after_commit",
]


async def a_card(customer: Customer, card: str = "pm_card_visa") -> PaymentMethod:
    """Save a card, and have it read at once."""
    setup = await customer.save_card(card)
    if card == ASKS:
        await customer.answer_bank(setup.client_secret, "pass")
    done = await customer.confirm_card(setup)
    return next(one for one in await customer.cards() if one.id == done.payment_method)


async def test_a_card_is_saved_pays_and_is_removed(customer: Customer) -> None:
    card = await a_card(customer)
    assert (card.brand, card.last4, card.default) == ("visa", "4242", True)
    assert (await customer.buy("starter", payment_method="default")).state == "succeeded"
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER)
    await customer.remove_card(card)
    assert await customer.cards() == []
    with pytest.raises(Refused, match="PAY010"):
        await customer.buy("starter", payment_method=ids.show("payment_method", card.id))
    assert (await customer.balance()).available == WELCOME + STARTER


async def test_a_card_is_known_by_stripes_webhooks_alone(customer: Customer) -> None:
    await customer.save_card()
    found = await wait_for(lambda: with_default(customer))
    assert found.last4 == "4242"


async def with_default(customer: Customer) -> PaymentMethod | None:
    """Find the default card, if there is one yet."""
    return next((card for card in await customer.cards() if card.default), None)


async def test_a_card_that_pays_is_saved_on_the_way(customer: Customer) -> None:
    await customer.pay(await customer.buy("starter", save_card=True))
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER)
    await wait_for(lambda: with_default(customer))
    await customer.buy("starter", payment_method="default")
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER * 2)


async def test_a_bank_asks_before_a_saved_card_pays(customer: Customer) -> None:
    await a_card(customer, ASKS)
    purchase = await customer.buy("starter", payment_method="default")
    assert purchase.state == "requires_action"
    await customer.answer_bank(purchase.client_secret, "pass")
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER)
    assert (await customer.purchase(purchase)).state == "succeeded"


async def test_a_saved_card_that_is_declined_brings_nothing_and_says_why(customer: Customer) -> None:
    await a_card(customer, DECLINED_WHEN_CHARGED)
    with pytest.raises(Refused, match="Your card was declined") as refused:
        await customer.buy("starter", payment_method="default")
    assert (refused.value.code, refused.value.problem["status"]) == ("PAY002", 402)
    other = await a_card(customer)
    await customer.buy("starter", payment_method=ids.show("payment_method", other.id))
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER)


@pytest.mark.parametrize("point", DYING)
async def test_a_saved_card_is_charged_once_though_payments_dies(sign_up: SignUp, stack: Stack, point: str) -> None:
    customer = await sign_up()
    await a_card(customer)
    buy = partial(customer.buy, "starter", key="the-purchase", payment_method="default")
    await killed_at(stack, "payments", point, partial(persistently, buy))
    purchase = await persistently(buy)
    assert purchase.state == "succeeded"
    await customer.wait_until(lambda b: b.available == WELCOME + STARTER)
    assert [t.type for t in await customer.transactions()] == ["purchase", "bonus"]
