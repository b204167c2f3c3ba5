"""What happens at once, or twice, or at an hour that was before, ends in one thing and never in two."""

import asyncio
from datetime import timedelta

import pytest

from libs.chassis.errors import UnavailableError
from libs.contracts.events import GiftCardIssued
from services.payments.operations.resolving import cancel_abandoned, look_at_waiting, resolve_purchases
from tests.integration.payments.gifts import bought, tell_due, told_all
from tests.integration.payments.reconciled import Accountant
from tests.integration.payments.shop import Shop, a_buyer, usd
from tests.integration.payments.test_reconciling import accountant

__all__ = ["accountant"]


@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_paying_and_canceling_at_once_end_in_a_charge_with_its_credits_or_in_neither(
    shop: Shop, method: str
) -> None:
    for _ in range(8):
        buyer = a_buyer()
        purchase = await (shop.start(buyer) if method == "payment_intent" else shop.start_checkout(buyer))
        pay = shop.pay(purchase) if method == "payment_intent" else shop.pay_page(purchase)
        await asyncio.gather(pay, shop.cancel(purchase), shop.confirm(purchase), return_exceptions=True)
        for event in await shop.events(purchase):
            await shop.tell(event)
        charged = [each["status"] for each in await shop.at_stripe(buyer)].count("succeeded")
        state = (await shop.show(purchase)).state
        assert (state, charged, len(await shop.successes(purchase))) in {("succeeded", 1, 1), ("canceled", 0, 0)}


async def test_a_payment_that_is_refunded_while_it_is_told_leaves_no_credits_behind(shop: Shop) -> None:
    for _ in range(5):
        purchase = await shop.start()
        assert await shop.pay(purchase) == "succeeded"
        await shop.confirm(purchase)
        events = await shop.events(purchase)
        await asyncio.gather(shop.refund(purchase), *(shop.tell(event) for event in events), shop.confirm(purchase))
        await asyncio.gather(*(shop.tell(event) for event in await shop.events(purchase)))
        assert ((await shop.show(purchase)).state, len(await shop.successes(purchase))) == ("refunded", 1)
        await shop.tell_credits(purchase)
        lots = (await shop.bank.credits.brought_by([purchase.id])).lots  # type: ignore[list-item] # it has one
        assert [lot.taken_back for lot in lots] == [lot.granted for lot in lots] != []


async def test_jobs_that_run_twice_at_once_and_again_an_hour_before_do_everything_once(accountant: Accountant) -> None:
    shop, forgetful = accountant.shop, a_buyer()
    await shop.put_code("ONCE", {"kind": "percent", "percent": 10}, total_limit=1)
    abandoned, unheard = await shop.start(promo_code="ONCE"), await accountant.paid()
    refunded, card = await shop.paid(), await bought(shop)
    await shop.faults({"kind": "reset_after", "method": "POST", "path": "/v1/refunds"},
                      {"kind": "reset_after", "method": "POST", "path": "/v1/payment_intents"})  # fmt: skip
    with pytest.raises(UnavailableError):
        await shop.refund(refunded, 400)
    with pytest.raises(UnavailableError):
        await shop.start(forgetful)
    for hours in (3, 3, 2, 4):
        await accountant.later(timedelta(hours=hours))
        await accountant.publish()
        await asyncio.gather(*(work for _ in range(2) for work in (
            resolve_purchases(shop.pool, shop.stripe, clock=shop.clock),
            shop.resolve_refunds(),
            cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock),
            look_at_waiting(shop.pool, shop.stripe, clock=shop.clock),
            tell_due(shop),
            accountant.follow(),
        )))  # fmt: skip
    assert ((await shop.show(abandoned)).state, await shop.redeemed("ONCE")) == ("canceled", 0)
    assert len(await shop.successes(unheard)) == len(await shop.at_stripe(forgetful)) == 1
    assert [told.gift_card for told in await told_all(shop, GiftCardIssued)] == [card.gift_card]
    assert [told.refunded for told in await shop.refunded(refunded)] == [usd(400)]
    assert [each["amount"] for each in (await shop.sandbox.get("books"))["refunds"]] == [400]
    assert (await accountant.go_through()).findings == []
