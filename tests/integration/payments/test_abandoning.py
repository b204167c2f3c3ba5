"""What nobody pays ends by itself, at Stripe and here; never what is paid, on its way, or just now before the bank."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from stripe import StripeClient

from libs.chassis.errors import UnavailableError
from libs.contracts.http.payments_v1 import Purchase
from services.payments.domain.purchases import TO_ANSWER
from services.payments.operations.ending import end
from services.payments.operations.resolving import PATIENCE, cancel_abandoned
from services.payments.store import purchases
from tests.integration.payments.gifts import buy
from tests.integration.payments.shop import Shop, a_buyer
from tests.integration.payments.test_unknown_outcomes import KINDS, fault

A_DAY = timedelta(hours=24)
"""How long the shop waits for a payment without a page of its own."""
TO_PAY = timedelta(hours=2)
"""How long it waits for a page, and for what keeps a promo code."""


async def tidy(shop: Shop) -> int:
    """Have the job come round."""
    return await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock)


async def ends_after(shop: Shop, purchase: Purchase, life: timedelta) -> Purchase:
    """See that a purchase ends after so long, and not before."""
    shop.travel(life - timedelta(minutes=1))
    assert await tidy(shop) == 0
    shop.travel(life + timedelta(seconds=1))
    assert await tidy(shop) == 1
    assert await tidy(shop) == 0
    return await shop.show(purchase)


async def test_a_payment_that_nobody_makes_ends_at_stripe_and_here(shop: Shop) -> None:
    buyer = a_buyer()
    ended = await ends_after(shop, await shop.start(buyer), A_DAY)
    assert (ended.state, ended.cancellation, ended.client_secret) == ("canceled", "abandoned", None)
    [payment] = await shop.at_stripe(buyer)
    assert payment["status"] == "canceled"


async def test_a_page_that_nobody_pays_ends_with_its_life(shop: Shop) -> None:
    ended = await ends_after(shop, await shop.start_checkout(), TO_PAY)
    assert (ended.state, ended.cancellation, ended.checkout_url) == ("canceled", "abandoned", None)


async def test_what_keeps_a_promo_code_from_others_ends_as_soon_as_a_page_does(shop: Shop) -> None:
    await shop.put_code("SPRING", {"kind": "percent", "percent": 10})
    ended = await ends_after(shop, await shop.start(pack="pro", promo_code="SPRING"), TO_PAY)
    assert (ended.cancellation, await shop.redeemed("SPRING")) == ("abandoned", 0)


async def test_a_gift_card_that_nobody_pays_ends_too(shop: Shop) -> None:
    assert (await ends_after(shop, await buy(shop), A_DAY)).cancellation == "abandoned"


async def test_what_a_card_did_not_pay_and_no_other_card_did_ends(shop: Shop) -> None:
    purchase = await shop.start()
    await shop.pay(purchase, "pm_card_chargeDeclined")
    assert (await shop.confirm(purchase)).state == "failed"
    assert (await ends_after(shop, purchase, A_DAY)).cancellation == "abandoned"


async def test_who_cancels_himself_is_not_told_that_he_abandoned_it(shop: Shop) -> None:
    assert (await shop.cancel(await shop.start())).cancellation == "requested_by_customer"
    assert (await shop.cancel(await shop.start_checkout())).cancellation is None


@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_what_was_paid_and_nobody_told_us_is_credited_and_not_canceled(shop: Shop, method: str) -> None:
    purchase = await (shop.start() if method == "payment_intent" else shop.start_checkout())
    await (shop.pay(purchase) if method == "payment_intent" else shop.pay_page(purchase))
    shop.travel(A_DAY * 2)
    assert await tidy(shop) == 1
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1
    shop.travel(A_DAY * 3)
    assert await tidy(shop) == 0


async def test_what_is_on_its_way_is_waited_for(shop: Shop) -> None:
    purchase = await shop.start()
    assert await shop.pay(purchase, "pm_usBankAccount_success") == "processing"
    shop.travel(A_DAY * 2)
    assert await tidy(shop) == 1
    assert await shop.states() == ["processing"]
    shop.travel(A_DAY * 5)
    assert await tidy(shop) == 0
    await shop.sandbox.post(f"payment_intents/{await shop.payment_intent(purchase)}/settle", {"outcome": "succeeded"})
    assert (await shop.confirm(purchase)).state == "succeeded"


async def test_a_bank_that_just_asks_is_given_time_for_an_answer(shop: Shop) -> None:
    purchase = await shop.start()
    assert await shop.pay(purchase, "pm_card_authenticationRequired") == "requires_action"
    shop.travel(A_DAY)
    assert await tidy(shop) == 1
    shop.travel(A_DAY + TO_ANSWER - timedelta(minutes=1))
    assert await tidy(shop) == 1
    assert await shop.states() == ["requires_action"]
    await shop.answer_bank(purchase, "pass")
    shop.travel(A_DAY + TO_ANSWER * 2)
    assert await tidy(shop) == 1
    assert await shop.states() == ["succeeded"]


async def test_a_bank_that_nobody_answers_is_waited_for_no_longer(shop: Shop) -> None:
    purchase = await shop.start()
    await shop.pay(purchase, "pm_card_threeDSecure2Required")
    shop.travel(A_DAY)
    assert await tidy(shop) == 1
    shop.travel(A_DAY + TO_ANSWER + timedelta(seconds=1))
    assert await tidy(shop) == 1
    assert (await shop.show(purchase)).cancellation == "abandoned"


async def test_what_is_paid_between_the_look_and_the_cancel_is_paid(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await shop.start()
    shop.travel(A_DAY)
    cancel = shop.stripe.cancel_payment_intent

    async def pay_first(*args: Any) -> None:
        await shop.pay(purchase)
        await cancel(*args)

    monkeypatch.setattr(shop.stripe, "cancel_payment_intent", pay_first)
    assert await tidy(shop) == 1
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1


async def test_what_was_canceled_at_stripe_before_we_died_is_abandoned_here_too(shop: Shop) -> None:
    purchase = await shop.start()
    async with shop.pool.connection() as conn:
        known = await purchases.get(conn, purchase.id)  # type: ignore[arg-type] # it has one
    await shop.stripe.cancel_payment_intent(known, known.payment_intent or "", "abandoned")
    shop.travel(A_DAY)
    assert await tidy(shop) == 1
    ended = await shop.show(purchase)
    assert (ended.state, ended.cancellation) == ("canceled", "abandoned")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_a_lost_answer_ends_in_the_same(shop: Shop, kind: str, method: str) -> None:
    purchase = await (shop.start() if method == "payment_intent" else shop.start_checkout())
    shop.travel(A_DAY)
    await shop.faults(fault(kind, "/v1/payment_intents/*/cancel"), fault(kind, "/v1/checkout/sessions/*/expire"))
    assert await tidy(shop) == 1
    shop.travel(A_DAY + PATIENCE * 2)
    await tidy(shop)
    ended = await shop.show(purchase)
    assert (ended.state, ended.cancellation) == ("canceled", "abandoned")


async def test_while_stripe_is_away_nothing_ends_and_it_is_tried_again(shop: Shop) -> None:
    purchase = await shop.start()
    shop.travel(A_DAY)
    await shop.faults({"kind": "reset_before", "path": "/v1/*", "count": None})
    assert await tidy(shop) == 1
    with pytest.raises(UnavailableError):
        await shop.cancel(purchase)
    assert await shop.states() == ["created"]
    await shop.faults()
    assert await tidy(shop) == 0
    shop.travel(A_DAY + PATIENCE * 2)
    assert await tidy(shop) == 1
    assert await shop.states() == ["canceled"]


async def test_workers_share_what_there_is_to_end_and_a_buyer_may_end_it_meanwhile(shop: Shop) -> None:
    started = [await shop.start() for _ in range(12)]
    shop.travel(A_DAY)
    taken = await asyncio.gather(tidy(shop), tidy(shop), shop.cancel(started[0]), return_exceptions=True)
    assert sum(one for one in taken if isinstance(one, int)) >= 11
    shop.travel(A_DAY + PATIENCE * 2)
    await tidy(shop)
    assert await shop.states() == ["canceled"] * 12


@pytest.mark.parametrize("events", [1, 3])
async def test_money_that_comes_after_the_end_is_credited_once(
    shop: Shop, dashboard: StripeClient, events: int
) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    async with shop.pool.transaction() as conn:
        await end(conn, purchase.id, "canceled", cancellation="abandoned")  # type: ignore[arg-type] # it has one
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        for _ in range(events):
            await shop.tell(event)
    paid = await shop.show(purchase)
    assert (paid.state, paid.cancellation) == ("succeeded", None)
    assert len(await shop.successes(purchase)) == 1
