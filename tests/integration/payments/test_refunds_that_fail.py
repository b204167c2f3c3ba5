"""Refunds that fail after they succeeded, alone and while others come: what is told of each, and its credits."""

from typing import Any

import pytest

from libs.chassis.errors import UnavailableError
from libs.contracts.credits import MICRO
from libs.contracts.events import PaymentRefundFailed
from libs.contracts.http.payments_v1 import Purchase
from tests.integration.payments.banks import switch
from tests.integration.payments.shop import Object, Shop, usd

LOST = {"kind": "500_after", "method": "POST", "path": "/v1/refunds", "count": 1}
SHARE = 50 * MICRO * 333 // 999
TWO_SHARES = 50 * MICRO * 666 // 999


async def bought(shop: Shop) -> Purchase:
    """Buy 50 credits for 9.99, which the ledger hears of."""
    purchase = await shop.paid(pack="starter")
    await shop.tell_credits(purchase)
    return purchase


async def has(shop: Shop, purchase: Purchase) -> tuple[int, int, int]:
    balance = await shop.bank.ledger.balance(purchase.account)
    return balance.available, balance.held, balance.debt


async def at_stripe(shop: Shop, purchase: Purchase) -> list[Object]:
    intent = await shop.payment_intent(purchase)
    books: list[Object] = (await shop.sandbox.get("books"))["refunds"]
    return [one for one in books if one["payment_intent"] == intent]


async def failures(shop: Shop, purchase: Purchase) -> list[Any]:
    return [event for event in await shop.told(purchase) if isinstance(event, PaymentRefundFailed)]


async def fail(shop: Shop, refund: Object) -> None:
    await switch(shop, f"refunds/{refund['id']}/fail", {"failure_reason": "declined"})


async def hear_of_failures(shop: Shop, purchase: Purchase) -> None:
    """Tell that refunds failed, and nothing else that Stripe has told."""
    for event in await shop.events(purchase, "refund.failed"):
        assert await shop.tell(event) == "applied"
    await shop.tell_credits(purchase)


async def test_a_refund_that_fails_and_one_that_arrives_unheard_are_both_told_though_the_total_stays(
    shop: Shop,
) -> None:
    purchase = await bought(shop)
    first = await shop.refund(purchase, 333)
    await shop.tell_credits(purchase)
    await shop.faults(LOST)
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, 333, key="second")
    assert await has(shop, purchase) == (50 * MICRO - TWO_SHARES, TWO_SHARES - SHARE, 0)
    made = await at_stripe(shop, purchase)
    await fail(shop, next(one for one in made if one["metadata"]["refund"] == first.model_dump(mode="json")["id"]))
    for _ in range(2):
        await hear_of_failures(shop, purchase)
    assert await has(shop, purchase) == (50 * MICRO - SHARE, 0, 0)
    second = await shop.refund(purchase, 333, key="second")
    before, now = await shop.refunded(purchase)
    assert (before.refunded, now.refunded) == (usd(333), usd(333))
    assert (before.refunds, now.refunds) == ([first.id], [first.id, second.id])
    assert [event.refund for event in await failures(shop, purchase)] == [first.id]


async def test_every_refund_that_fails_is_told_though_another_changed_the_total_in_the_same_look(shop: Shop) -> None:
    purchase = await bought(shop)
    refunds = [await shop.refund(purchase, amount) for amount in (333, 222, 111)]
    await shop.tell_credits(purchase)
    made = {one["amount"]: one for one in await at_stripe(shop, purchase)}
    for amount in (333, 111):
        await fail(shop, made[amount])
    for _ in range(2):
        await hear_of_failures(shop, purchase)
    assert [event.refund for event in await failures(shop, purchase)] == [refunds[0].id, refunds[2].id]
    assert [event.refunded for event in await shop.refunded(purchase)] == [usd(333), usd(555), usd(666), usd(222)]
    assert await has(shop, purchase) == (50 * MICRO - 50 * MICRO * 222 // 999, 0, 0)
