"""Checkout sessions, paid on their page by a plain browser."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox

SUCCESS = "https://shop.example/done?session={CHECKOUT_SESSION_ID}"
CANCEL = "https://shop.example/cart"


async def a_session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    line = {
        "price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "50 credits"}},
        "quantity": 2,
    }
    params: Any = {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "line_items": [line],
        "success_url": SUCCESS,
        "cancel_url": CANCEL,
        "client_reference_id": "acc_1",
        "metadata": {"purchase": "pur_1"},
        "payment_intent_data": {"metadata": {"purchase": "pur_1"}, "description": "50 credits, twice"},
        **more,
    }
    return await client.v1.checkout.sessions.create_async(params)


async def submit(sandbox: RunningSandbox, session: stripe.checkout.Session, **fields: str) -> Any:
    return await sandbox.http.post(f"/c/pay/{session.id}", data=fields)


async def test_a_session_is_paid_on_its_page(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    customer = await client.v1.customers.create_async({"email": "payer@example.com"})
    session = await a_session(client, customer=customer.id)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 1998)
    assert session.payment_intent is None
    page = await sandbox.http.get(str(session.url))
    assert (page.status_code, "19.98 usd" in page.text, "50 credits" in page.text) == (200, True, True)
    paid = await submit(sandbox, session, action="pay", number="4242 4242 4242 4242", email="p@example.com", name="Pat")
    assert (paid.status_code, paid.headers["location"]) == (303, SUCCESS.replace("{CHECKOUT_SESSION_ID}", session.id))
    after = await client.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge", "line_items", "customer"]}
    )
    assert (after.status, after.payment_status, after.url) == ("complete", "paid", None)
    assert isinstance(after.payment_intent, stripe.PaymentIntent)
    assert (after.payment_intent.status, after.payment_intent.customer) == ("succeeded", customer.id)
    assert after.payment_intent.metadata.to_dict() == {"purchase": "pur_1"}
    assert after.customer_details is not None
    assert after.customer_details.email == "p@example.com"
    assert after.line_items is not None
    assert [(line.amount_total, line.quantity) for line in after.line_items.data] == [(1998, 2)]
    await receiver.until_about(session.id, "checkout.session.completed")
    await receiver.until_about(after.payment_intent.id, "payment_intent.succeeded")
    assert "complete" in (await submit(sandbox, session, action="pay")).text
    found = await client.v1.checkout.sessions.list_async({"payment_intent": after.payment_intent.id})
    assert [each.id for each in found.data] == [session.id]


async def test_a_declined_card_leaves_the_session_open_for_another(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    session = await a_session(client)
    declined = await submit(sandbox, session, action="decline")
    assert (declined.status_code, "Your card was declined." in declined.text) == (402, True)
    wrong = await submit(sandbox, session, action="pay", number="1234")
    assert (wrong.status_code, "card number is incorrect" in wrong.text) == (402, True)
    between = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (between.status, between.payment_status) == ("open", "unpaid")
    assert (await submit(sandbox, session, action="pay")).status_code == 303
    after = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (after.status, after.payment_intent) == ("complete", between.payment_intent)


@pytest.mark.parametrize("outcome", ["pass", "fail"])
async def test_the_bank_may_ask_in_between(client: stripe.StripeClient, sandbox: RunningSandbox, outcome: str) -> None:
    session = await a_session(client)
    asked = await submit(sandbox, session, action="authenticate")
    assert asked.status_code == 303
    answer = await sandbox.http.post(asked.headers["location"], data={"outcome": outcome})
    after = await client.v1.checkout.sessions.retrieve_async(session.id)
    if outcome == "pass":
        assert answer.headers["location"].startswith("https://shop.example/done")
        assert (after.status, after.payment_status) == ("complete", "paid")
    else:
        assert (answer.status_code, after.status, after.payment_status) == (402, "open", "unpaid")


async def test_a_session_left_leads_back_and_stays_open(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    session = await a_session(client)
    left = await submit(sandbox, session, action="abandon")
    assert (left.status_code, left.headers["location"]) == (303, CANCEL)
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "open"


async def test_a_session_paid_from_a_bank_completes_before_the_money_comes(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    session = await a_session(client)
    assert (await submit(sandbox, session, action="bank")).status_code == 303
    await receiver.until_about(session.id, "checkout.session.completed", "checkout.session.async_payment_succeeded")
    statuses = [each.event["data"]["object"]["payment_status"] for each in receiver.about(session.id)]
    assert sorted(statuses) == ["paid", "unpaid"]


async def test_an_open_session_can_be_expired_and_takes_its_intent_along(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    session = await a_session(client)
    await submit(sandbox, session, action="decline")
    begun = (await client.v1.checkout.sessions.retrieve_async(session.id)).payment_intent
    with pytest.raises(stripe.InvalidRequestError, match="Checkout Session"):
        await client.v1.payment_intents.cancel_async(str(begun))
    expired = await client.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    assert (await client.v1.payment_intents.retrieve_async(str(begun))).status == "canceled"
    await receiver.until_about(session.id, "checkout.session.expired")
    assert "expired" in (await submit(sandbox, session, action="pay")).text
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        await client.v1.checkout.sessions.expire_async(session.id)


async def test_a_session_sells_what_the_catalogue_has(client: stripe.StripeClient) -> None:
    price = await client.v1.prices.create_async(
        {"product_data": {"name": "Starter"}, "currency": "usd", "unit_amount": 999, "lookup_key": "checkout_starter"}
    )
    session = await a_session(client, line_items=[{"price": price.id, "quantity": 1}], customer_creation="always")
    lines = await client.v1.checkout.sessions.line_items.list_async(session.id, {"limit": 1})
    assert [(line.description, line.price and line.price.id) for line in lines.data] == [("Starter", price.id)]
    noted = await client.v1.checkout.sessions.update_async(session.id, {"metadata": {"seen": "yes"}})
    assert noted.metadata is not None
    assert noted.metadata.to_dict() == {"purchase": "pur_1", "seen": "yes"}
    await client.v1.prices.update_async(price.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await a_session(client, line_items=[{"price": price.id, "quantity": 1}])


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "subscription"},
        {"mode": "setup"},
        {"mode": "setup", "currency": "usd"},
        {"setup_intent_data": {"description": "Later"}},
        {"currency": "eur"},
        {"discounts": [{"coupon": "none"}]},
        {"discounts": [{"coupon": "none", "promotion_code": "none"}]},
        {"discounts": [{"coupon": "none"}], "allow_promotion_codes": True},
        {"payment_method_types": ["card"]},
        {"expires_at": 1},
        {"line_items": []},
        {"line_items": [{"price": "price_none", "quantity": 1}]},
        {"line_items": [{"quantity": 1}]},
        {"customer": "cus_none"},
        {"automatic_tax": {"enabled": True}},
        {"ui_mode": "embedded_page"},
    ],
)
async def test_what_a_session_cannot_be_is_refused(client: stripe.StripeClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await a_session(client, **wrong)
