"""Settling purchases by Stripe's events, in whatever order and number they come."""

import asyncio
from contextvars import Context
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stripe import StripeClient

from libs.chassis.errors import UnavailableError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import PaymentFailed, PaymentSucceeded
from libs.contracts.http.payments_v1 import Purchase
from services.payments.domain.errors import PaymentMismatchError, PurchaseStateError
from services.payments.domain.purchases import EDGES, PAID
from services.payments.store import purchases
from tests.integration.payments.shop import RETURN_URL, Object, Shop, a_buyer, usd

SUCCESS = ("payment_intent.created", "payment_intent.succeeded", "charge.succeeded", "checkout.session.completed")


async def test_a_paid_purchase_is_told_once_with_its_lots(shop: Shop) -> None:
    purchase = await shop.paid(pack="pro")
    assert (purchase.state, purchase.client_secret, purchase.failure) == ("succeeded", None, None)
    [told] = await shop.successes(purchase)
    assert (told.paid, told.pack, told.revision) == (usd(2499), "pro", 1)
    assert [(lot.kind, lot.credits, lot.bonus) for lot in told.lots] == [("purchased", 160 * MICRO, 10 * MICRO)]
    assert told.payment_intent == await shop.payment_intent(purchase)


async def test_a_purchase_paid_on_stripes_page_is_told_once(shop: Shop) -> None:
    purchase = await shop.start_checkout(pack="starter")
    await shop.pay_page(purchase)
    for event in await shop.events(purchase):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "succeeded"
    [told] = await shop.successes(purchase)
    assert told.paid == usd(999)


async def test_the_success_events_of_one_payment_in_every_order_and_twice_each_credit_once(shop: Shop) -> None:
    for order in permutations(range(len(SUCCESS))):
        purchase = await shop.start_checkout()
        await shop.pay_page(purchase)
        events = await shop.events(purchase, *SUCCESS)
        assert sorted(event["type"] for event in events) == sorted(SUCCESS)
        for place in order:
            await shop.tell(events[place])
            await shop.tell(events[place])
        assert len(await shop.successes(purchase)) == 1, order


async def test_the_same_events_told_by_many_at_once_credit_once(shop: Shop) -> None:
    purchase = await shop.start_checkout()
    await shop.pay_page(purchase)
    events = await shop.events(purchase) * 5

    async def insist(event: Object) -> None:
        while True:
            try:
                await shop.tell(event)
            except UnavailableError:
                continue
            return

    await asyncio.gather(*(insist(event) for event in events))
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1


async def test_payments_told_at_once_are_settled_together_but_for_what_needs_more_than_its_own_row(shop: Shop) -> None:
    await shop.put_code("TENTH", {"kind": "percent", "percent": 10})
    orders: list[Object] = [{}, {}, {}, {"promo_code": "TENTH"}]
    started = [await shop.start(**order) for order in orders]
    paying = [await shop.start(), *started]
    events = []
    for purchase in paying:
        await shop.pay(purchase)
        events += await shop.events(purchase, "payment_intent.succeeded")
    events[0]["data"]["object"]["amount"] += 1
    outcomes = await asyncio.gather(*(shop.tell(event) for event in events))
    assert outcomes == ["quarantined", *["applied"] * 4]
    for purchase in started:
        told = await shop.successes(purchase)
        assert [(event.paid, event.revision) for event in told] == [(purchase.quote.price, 1)]
    assert await shop.successes(paying[0]) == []
    assert await shop.redeemed("TENTH") == 1
    async with shop.pool.connection() as conn:
        together = await conn.fetch("SELECT cardinality(payloads) AS told FROM outbox ORDER BY 1")
        assert [row["told"] for row in together] == [1, 3]


@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_an_event_that_comes_before_stripes_answer_was_recorded_is_not_lost(shop: Shop, method: str) -> None:
    buyer = a_buyer()
    purchase = await shop.start(buyer, key="k", method=method, return_url=RETURN_URL)
    decline, pay = (
        (lambda: shop.pay(purchase, "pm_card_chargeDeclined"), lambda: shop.pay(purchase))
        if method == "payment_intent"
        else (lambda: shop.pay_page(purchase, "decline"), lambda: shop.pay_page(purchase))
    )
    await decline()
    async with shop.pool.transaction() as conn:
        await conn.execute(
            """UPDATE purchase SET state = 'unknown', payment_intent = NULL, client_secret = NULL,
                                   checkout_session = NULL, checkout_url = NULL"""
        )
        await conn.execute("UPDATE idempotency_key SET status = NULL, body = NULL")
    for event in await shop.events(purchase, "payment_intent.payment_failed"):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "failed"
    again = await shop.start(buyer, key="k", method=method, return_url=RETURN_URL)
    assert (again.client_secret, again.checkout_url) == (purchase.client_secret, purchase.checkout_url)
    await pay()
    for event in await shop.events(purchase):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1


async def test_a_declined_card_is_told_once_per_attempt_and_the_purchase_can_still_be_paid(shop: Shop) -> None:
    purchase = await shop.start()
    for card in ("pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclined"):
        assert await shop.pay(purchase, card) == "declined"
        for _ in range(2):
            for event in await shop.events(purchase, "payment_intent.payment_failed"):
                await shop.tell(event)
            await shop.confirm(purchase)
    failed = await shop.show(purchase)
    assert (failed.state, failed.failure) == ("failed", "Your card was declined.")
    assert failed.client_secret is not None
    await shop.pay(purchase)
    assert (await shop.confirm(purchase)).state == "succeeded"
    told = await shop.told(purchase)
    assert [(type(event), event.revision) for event in told if isinstance(event, PaymentFailed | PaymentSucceeded)] == [
        (PaymentFailed, 1), (PaymentFailed, 2), (PaymentSucceeded, 3),
    ]  # fmt: skip


async def test_a_bank_that_asks_for_the_buyer_shows_as_requires_action(shop: Shop) -> None:
    purchase = await shop.start()
    assert await shop.pay(purchase, "pm_card_authenticationRequired") == "requires_action"
    for event in await shop.events(purchase, "payment_intent.requires_action"):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "requires_action"
    await shop.answer_bank(purchase, "pass")
    assert (await shop.confirm(purchase)).state == "succeeded"


async def test_a_bank_debit_is_processing_and_then_paid_or_failed(shop: Shop) -> None:
    for outcome, state in (("succeeded", "succeeded"), ("failed", "failed")):
        purchase = await shop.start_checkout()
        await shop.pay_page(purchase, "bank")
        for event in await shop.events(purchase):
            await shop.tell(event)
        assert (await shop.show(purchase)).state == "processing"
        with pytest.raises(PurchaseStateError):
            await shop.cancel(purchase)
        await shop.sandbox.post(f"payment_intents/{await shop.payment_intent(purchase)}/settle", {"outcome": outcome})
        for event in await shop.events(purchase, "checkout.session.async_payment_succeeded",
                                       "checkout.session.async_payment_failed"):  # fmt: skip
            await shop.tell(event)
        assert (await shop.show(purchase)).state == state
        assert len(await shop.successes(purchase)) == (state == "succeeded")


async def test_a_closed_page_cancels_the_purchase(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.start_checkout()
    assert purchase.checkout_url is not None
    await dashboard.v1.checkout.sessions.expire_async(purchase.checkout_url.rpartition("/")[2])
    [event] = await shop.events(purchase, "checkout.session.expired")
    await shop.tell(event)
    assert (await shop.show(purchase)).state == "canceled"


async def test_a_payment_canceled_at_the_dashboard_cancels_the_purchase(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.start()
    await dashboard.v1.payment_intents.cancel_async(str(await shop.payment_intent(purchase)))
    [event] = await shop.events(purchase, "payment_intent.canceled")
    await shop.tell(event)
    assert (await shop.show(purchase)).state == "canceled"


async def test_a_manual_confirm_settles_what_no_event_told(shop: Shop) -> None:
    for purchase in (await shop.start(), await shop.start_checkout()):
        assert (await shop.confirm(purchase)).state == "created"
        await (shop.pay(purchase) if purchase.client_secret else shop.pay_page(purchase))
        assert (await shop.confirm(purchase)).state == "succeeded"
        assert (await shop.confirm(purchase)).state == "succeeded"
        assert len(await shop.successes(purchase)) == 1


async def test_money_that_stripe_has_is_credited_even_after_a_cancel(shop: Shop) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    async with shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET state = 'canceled', client_secret = NULL")
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1


async def test_an_older_view_of_stripe_never_overwrites_a_newer_one(shop: Shop) -> None:
    purchase = await shop.start()
    async with shop.pool.transaction() as conn:
        known = await purchases.lock(conn, purchase.id or ids.new_id())
        # it sees the payment unpaid, and waits for our lock
        looking = asyncio.create_task(shop.confirm(purchase), context=Context())
        await until_somebody_waits(shop)
        await shop.pay(purchase, "pm_card_chargeDeclined")
        await purchases.move(conn, known.id, "failed", failure="declined")
        await purchases.count_look(conn, known.id)
    assert (await looking).state == "failed"
    assert [type(event) for event in await shop.told(purchase)] == [PaymentFailed]  # it looked again


async def until_somebody_waits(shop: Shop) -> None:
    while True:
        async with shop.pool.connection() as conn:
            if await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                return


def changed(event: Object, **changes: Any) -> Object:
    """Forge an event: another id, another object."""
    return {**event, "id": f"evt_{ids.new_id().hex}", "data": {"object": {**event["data"]["object"], **changes}}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": 9_999_900, "amount_received": 9_999_900}, "amount"),
        ({"amount_received": 1}, "amount"),
        ({"currency": "jpy"}, "currency"),
        ({"customer": "cus_somebody_else"}, "customer"),
        ({"livemode": True}, "livemode"),
        ({"id": "pi_another"}, "payment_intent"),
    ],
)
async def test_a_payment_that_differs_from_our_record_is_put_aside_once_and_credits_nothing(
    shop: Shop, change: Object, reason: str
) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    [event] = await shop.events(purchase, "payment_intent.succeeded")
    forged = changed(event, **change)
    assert [await shop.tell(forged), await shop.tell(forged)] == ["quarantined", "quarantined"]
    assert await shop.quarantined() == [(reason, purchase.id)]
    assert (await shop.show(purchase)).state == "created"
    assert await shop.told(purchase) == []
    assert await shop.tell(event) == "applied"  # the truth still comes through
    assert len(await shop.successes(purchase)) == 1


@pytest.mark.parametrize(
    ("change", "reason"), [({"livemode": True}, "livemode"), ({"account": "acct_1"}, "foreign_account")]
)
async def test_an_event_of_another_mode_or_account_is_put_aside(shop: Shop, change: Object, reason: str) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        assert await shop.tell({**event, **change}) == "quarantined"
    assert await shop.quarantined() == [(reason, purchase.id)]
    assert await shop.told(purchase) == []


async def test_a_manual_confirm_says_that_the_payment_differs(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.start()
    await dashboard.v1.payment_intents.update_async(str(await shop.payment_intent(purchase)), {"amount": 5000})
    with pytest.raises(PaymentMismatchError):
        await shop.confirm(purchase)
    await shop.pay(purchase)
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        assert await shop.tell(event) == "quarantined"
    assert await shop.told(purchase) == []


async def test_an_event_for_an_unknown_purchase_is_put_aside(shop: Shop) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    [event] = await shop.events(purchase, "payment_intent.succeeded")
    nobodys = ids.show("purchase", ids.new_id())
    assert await shop.tell(changed(event, id="pi_foreign", metadata={"purchase": nobodys})) == "quarantined"
    assert await shop.quarantined() == [("unknown_purchase", None)]


async def test_an_event_that_claims_our_purchase_for_a_payment_that_stripe_does_not_have_is_put_aside(
    shop: Shop,
) -> None:
    purchase = await shop.start()
    await shop.pay(purchase, "pm_card_chargeDeclined")
    [event] = await shop.events(purchase, "payment_intent.payment_failed")
    assert await shop.tell(changed(event, id="pi_nowhere")) == "quarantined"
    assert await shop.quarantined() == [("not_at_stripe", purchase.id)]


async def test_what_is_not_ours_and_what_we_do_not_know_is_ignored(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    [event] = await shop.events(purchase, "payment_intent.succeeded")
    assert await shop.tell(changed(event, id="pi_foreign", metadata={})) == "ignored"
    assert await shop.tell(changed(event, id="pi_foreign", metadata={"purchase": "order 17"})) == "ignored"
    assert await shop.tell({**event, "type": "customer.tax_id.created"}) == "ignored"
    assert await shop.quarantined() == []
    assert await shop.told(purchase) == []


def reachable(state: str) -> set[str]:
    seen: set[str] = set()
    frontier = {state}
    while frontier:
        seen |= frontier
        frontier = {str(after) for before, edges in EDGES.items() if before in frontier for after in edges} - seen
    return seen


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 100), min_size=1, max_size=16))
async def test_no_order_of_events_makes_a_final_state_regress(
    shop: Shop, dashboard: StripeClient, order: list[int]
) -> None:
    purchase = await a_purchase_with_a_history(shop, dashboard)
    events = await shop.events(purchase)
    before = (await shop.show(purchase)).state
    for place in [*order, *range(len(events))]:
        await shop.tell(events[place % len(events)])
        after = (await shop.show(purchase)).state
        assert after in reachable(before), (before, after)
        assert before not in PAID or after in PAID
        before = after
    assert before == "partially_refunded"
    assert len(await shop.successes(purchase)) == 1
    assert [event.refunded for event in await shop.refunded(purchase)] == [usd(500)]


async def a_purchase_with_a_history(shop: Shop, dashboard: StripeClient) -> Purchase:
    """Have Stripe see a decline, a question of the bank, a payment and a refund, of all of which we know nothing."""
    purchase = await shop.start(a_buyer())
    await shop.pay(purchase, "pm_card_chargeDeclined")
    await shop.pay(purchase, "pm_card_authenticationRequired")
    intent = str(await shop.payment_intent(purchase))
    await shop.answer_bank(purchase, "fail")
    await shop.pay(purchase)
    await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": 500})
    return purchase
