"""What is told of a payment for its receipt, and what its buyer sees of it."""

from dataclasses import replace
from datetime import timedelta

from libs.contracts.credits import MICRO
from libs.contracts.events.payments_v1 import PaidByCard, PaymentCardLearned
from tests.integration.payments.gifts import bought, code_of, redeem, redemptions, tell_due
from tests.integration.payments.shop import Shop, a_buyer, usd

VISA = PaidByCard(brand="visa", last4="4242")


async def test_a_receipt_has_the_card_and_a_refund_the_original(shop: Shop) -> None:
    purchase = await shop.paid(pack="pro")
    [told] = await shop.successes(purchase)
    assert (told.card, told.discounts, told.tier) == (VISA, [], None)
    await shop.refund(purchase, 499)
    [refunded] = await shop.refunded(purchase)
    assert (refunded.card, refunded.paid_at, refunded.paid) == (VISA, told.occurred_at, usd(2499))


async def test_the_detail_and_the_history_show_what_the_receipt_does(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.put_code("SPRING", {"kind": "percent", "percent": 25})
    waiting = await shop.start(buyer, pack="starter")
    assert (waiting.card, waiting.paid_at) == (None, None)
    purchase = await shop.paid(buyer, pack="pro", promo_code="SPRING")
    [told] = await shop.successes(purchase)
    for seen in (await shop.show(purchase), (await shop.listed(buyer))[0]):
        assert (seen.payment, seen.card, seen.paid_at) == (told.payment_intent, VISA, told.occurred_at)
        assert (seen.quote.list_price, seen.quote.price, seen.quote.promo_code) == (usd(2499), usd(1874), "SPRING")
        assert seen.quote.discounts == told.discounts
        assert (seen.quote.credits, seen.quote.bonus) == (150 * MICRO, 10 * MICRO)


async def test_another_card_is_the_one_that_paid(shop: Shop) -> None:
    purchase = await shop.start(pack="starter")
    assert await shop.pay(purchase, "pm_card_chargeDeclined") == "declined"
    assert await shop.pay(purchase, "pm_card_mastercard") == "succeeded"
    for event in await shop.events(purchase):
        await shop.tell(event)
    assert (await shop.show(purchase)).card == PaidByCard(brand="mastercard", last4="4444")


async def test_a_payment_does_not_wait_for_what_its_receipt_may_do_without(shop: Shop) -> None:
    purchase = await shop.start(pack="starter")
    await shop.pay(purchase)
    [event] = await shop.events(purchase, "payment_intent.succeeded")
    await shop.faults({"path": "/v1/*", "kind": "500_before"})
    assert await shop.tell(event) == "applied"
    [told] = await shop.successes(purchase)
    assert (told.card, (await shop.show(purchase)).state) == (None, "succeeded")
    for _ in range(2):
        for event in await shop.events(purchase, "charge.succeeded"):
            await shop.tell(event)
    assert ((await shop.show(purchase)).card, len(await shop.successes(purchase))) == (VISA, 1)
    [learned] = [event for event in await shop.told(purchase) if isinstance(event, PaymentCardLearned)]
    assert (learned.card, learned.revision) == (VISA, told.revision + 1)


async def test_a_charge_of_another_payment_shows_no_card_of_this_one(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    [event] = await shop.events(purchase, "charge.succeeded")
    thing = event["data"]["object"]
    thing["payment_intent"], thing["payment_method_details"]["card"]["last4"] = "pi_another", "1881"
    await shop.tell(event)
    assert (await shop.show(purchase)).card == VISA


async def test_credits_expire_so_many_days_after_they_were_paid_as_their_pack_says(shop: Shop) -> None:
    packs = [pack.model_copy(update={"expires_after_days": 365}) for pack in shop.catalogue.packs]
    expiring = replace(shop, catalogue=shop.catalogue.model_copy(update={"packs": packs}))
    purchase = await expiring.start(pack="pro")
    shop.travel(timedelta(days=1))
    await expiring.pay(purchase)
    assert (await replace(expiring, clock=shop.clock).confirm(purchase)).state == "succeeded"
    [told] = await shop.successes(purchase)
    assert [lot.expires_at for lot in told.lots] == [told.occurred_at + timedelta(days=365)]
    assert (await shop.show(purchase)).quote.expires_after_days == 365  # what was quoted stays


async def test_a_gift_cards_credits_expire_so_many_days_after_it_is_redeemed(shop: Shop) -> None:
    cards = [card.model_copy(update={"expires_after_days": 90}) for card in shop.catalogue.gift_cards]
    expiring = replace(shop, catalogue=shop.catalogue.model_copy(update={"gift_cards": cards}))
    purchase = await bought(expiring)
    await tell_due(expiring)
    await redeem(expiring, await code_of(expiring, purchase))
    [redeemed] = await redemptions(expiring)
    assert redeemed.expires_at == redeemed.occurred_at + timedelta(days=90)
