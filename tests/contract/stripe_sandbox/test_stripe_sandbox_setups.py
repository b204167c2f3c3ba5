"""Cards kept for later: by setup intents, by payments, and on Checkout's page; then used while nobody is there."""

from typing import Any

import httpx2
import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox

RETURN_URL = "https://shop.example/cards"
ASKS_ONCE, ASKS_ALWAYS = "4000002500003155", "4000002760003184"


async def a_card(client: stripe.StripeClient, number: str) -> str:
    card: Any = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    return (await client.v1.payment_methods.create_async({"type": "card", "card": card})).id


async def a_setup(client: stripe.StripeClient, **more: Any) -> stripe.SetupIntent:
    customer = (await client.v1.customers.create_async({})).id
    params: Any = {"customer": customer, "metadata": {"account": "acc_1"}, **more}
    return await client.v1.setup_intents.create_async(params)


async def pay_off_session(client: stripe.StripeClient, customer: str, method: str) -> str:
    params: Any = {"amount": 500, "currency": "usd", "customer": customer, "payment_method": method,
                   "off_session": True, "confirm": True}  # fmt: skip
    return (await client.v1.payment_intents.create_async(params)).status


def bank_of(intent: stripe.SetupIntent) -> str:
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    return str(intent.next_action.redirect_to_url.url)


async def test_a_card_is_kept_and_pays_later(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_setup(client)
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await client.v1.setup_intents.confirm_async(intent.id, {"return_url": RETURN_URL})
    chosen = await client.v1.setup_intents.update_async(intent.id, {"payment_method": "pm_card_visa"})
    assert chosen.status == "requires_confirmation"
    with pytest.raises(stripe.InvalidRequestError, match="This SetupIntent is configured"):
        await client.v1.setup_intents.confirm_async(intent.id)
    done = await client.v1.setup_intents.confirm_async(intent.id, {"return_url": RETURN_URL})
    assert done.status == "succeeded"
    method = await client.v1.payment_methods.retrieve_async(str(done.payment_method))
    assert method.customer == done.customer
    assert await pay_off_session(client, str(done.customer), method.id) == "succeeded"
    await receiver.until_about(intent.id, "setup_intent.created", "setup_intent.succeeded")
    await receiver.until_about(method.id, "payment_method.attached")
    found = await client.v1.setup_intents.list_async(
        {"customer": str(done.customer), "expand": ["data.payment_method"]}
    )
    assert [isinstance(each.payment_method, stripe.PaymentMethod) for each in found.data] == [True]


async def test_a_setup_says_that_only_cards_may_be_given(client: stripe.StripeClient) -> None:
    intent = await a_setup(client, allowed_payment_method_types=["card"])
    assert intent.allowed_payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        await a_setup(client, allowed_payment_method_types=["us_bank_account"])


async def test_a_kept_card_is_renewed(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_setup(client, payment_method="pm_card_visa", confirm=True, return_url=RETURN_URL)
    method = str(intent.payment_method)
    renewed = await client.v1.payment_methods.update_async(method, {"card": {"exp_month": 1, "exp_year": 2041}})
    assert renewed.card is not None
    assert (renewed.card.exp_month, renewed.card.exp_year, renewed.card.last4) == (1, 2041, "4242")
    await receiver.until_about(method, "payment_method.updated")
    with pytest.raises(stripe.CardError):
        await client.v1.payment_methods.update_async(method, {"card": {"exp_month": 1, "exp_year": 2020}})


@pytest.mark.parametrize(("number", "later"), [(ASKS_ONCE, "succeeded"), (ASKS_ALWAYS, "authentication_required")])
async def test_a_bank_that_asks_when_a_card_is_kept_may_or_may_not_ask_again(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, number: str, later: str
) -> None:
    method = await a_card(client, number)
    intent = await a_setup(client, payment_method=method, confirm=True, return_url=RETURN_URL)
    assert intent.status == "requires_action"
    assert "leaves this card" in (await sandbox.http.get(bank_of(intent))).text
    answer = await sandbox.http.post(bank_of(intent), data={"outcome": "pass"})
    back = httpx2.URL(answer.headers["location"])
    assert (back.params["setup_intent"], back.params["redirect_status"]) == (intent.id, "succeeded")
    await receiver.until_about(intent.id, "setup_intent.requires_action", "setup_intent.succeeded")
    try:
        outcome = await pay_off_session(client, str(intent.customer), method)
    except stripe.CardError as error:
        outcome = str(error.code)
    assert outcome == later


async def test_a_setup_that_the_customer_does_not_authenticate_fails_and_can_be_tried_again(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    intent = await a_setup(client, payment_method="pm_card_authenticationRequired", confirm=True, return_url=RETURN_URL)
    assert (await sandbox.http.post(bank_of(intent), data={"outcome": "fail"})).status_code == 303
    failed = await client.v1.setup_intents.retrieve_async(intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    await receiver.until_about(intent.id, "setup_intent.setup_failed")
    assert (await sandbox.http.post(bank_of(intent), data={"outcome": "pass"})).status_code == 409
    again = await client.v1.setup_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL}
    )
    assert (again.status, again.last_setup_error) == ("succeeded", None)
    assert len((await client.v1.customers.payment_methods.list_async(str(intent.customer))).data) == 1


async def test_three_d_secure_can_be_asked_for(client: stripe.StripeClient) -> None:
    wanted: Any = {"card": {"request_three_d_secure": "any"}}
    intent = await a_setup(
        client, payment_method="pm_card_visa", confirm=True, return_url=RETURN_URL, payment_method_options=wanted
    )
    assert intent.status == "requires_action"


async def test_a_declined_card_is_not_kept(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_setup(client)
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.setup_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_chargeDeclined", "return_url": RETURN_URL}
        )
    error = refused.value.error
    assert error is not None
    assert error.setup_intent is not None
    assert (error.decline_code, error.setup_intent.status) == ("generic_decline", "requires_payment_method")
    await receiver.until_about(intent.id, "setup_intent.setup_failed")
    assert (await client.v1.customers.payment_methods.list_async(str(intent.customer))).data == []


async def test_a_card_that_is_declined_only_when_charged_is_kept(client: stripe.StripeClient) -> None:
    intent = await a_setup(client, payment_method="pm_card_chargeCustomerFail", confirm=True, return_url=RETURN_URL)
    assert intent.status == "succeeded"
    with pytest.raises(stripe.CardError):
        await pay_off_session(client, str(intent.customer), str(intent.payment_method))


async def test_a_browser_confirms_a_setup_with_its_secret(
    client: stripe.StripeClient, browser: stripe.StripeClient
) -> None:
    intent = await a_setup(client)
    proof: Any = {"client_secret": intent.client_secret, "payment_method": await a_card(browser, "4242424242424242")}
    with pytest.raises(stripe.InvalidRequestError, match="No such setupintent"):
        await browser.v1.setup_intents.confirm_async(intent.id, proof | {"client_secret": "another"})
    seen = await browser.v1.setup_intents.confirm_async(intent.id, proof)
    assert seen.status == "succeeded"
    assert not {"metadata", "customer"} & set(seen.to_dict())
    again = await browser.v1.setup_intents.retrieve_async(intent.id, {"client_secret": str(intent.client_secret)})
    assert again.status == "succeeded"
    with pytest.raises(stripe.PermissionError):
        await browser.v1.setup_intents.list_async()


async def test_a_setup_can_be_canceled_until_it_succeeded(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_setup(client)
    canceled = await client.v1.setup_intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    await receiver.until_about(intent.id, "setup_intent.canceled")
    done = await a_setup(client, payment_method="pm_card_visa", confirm=True, return_url=RETURN_URL)
    for call in (
        client.v1.setup_intents.cancel_async(done.id),
        client.v1.setup_intents.confirm_async(done.id),
        client.v1.setup_intents.update_async(canceled.id, {"payment_method": "pm_card_visa"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await call
        assert refused.value.code == "setup_intent_unexpected_state"


@pytest.mark.parametrize(
    "wrong",
    [
        {"return_url": RETURN_URL},
        {"customer": "cus_none"},
        {"payment_method": "pm_none"},
        {"payment_method": "pm_usBankAccount"},
        {"usage": "sometimes"},
        {"mandate_data": {"customer_acceptance": {"type": "offline"}}},
    ],
)
async def test_what_a_setup_cannot_be_is_refused(client: stripe.StripeClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await a_setup(client, **wrong)


async def a_setup_session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    params: Any = {"mode": "setup", "currency": "usd", "success_url": RETURN_URL, **more}
    return await client.v1.checkout.sessions.create_async(params)


async def test_a_card_is_kept_on_checkouts_page(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    customer = (await client.v1.customers.create_async({"email": "keeps@example.com"})).id
    session = await a_setup_session(client, customer=customer, setup_intent_data={"metadata": {"account": "acc_2"}})
    assert (session.payment_status, session.amount_total) == ("no_payment_required", None)
    assert "Save a card for later" in (await sandbox.http.get(str(session.url))).text
    assert session.id[:24] in (await sandbox.http.get("/")).text
    with pytest.raises(stripe.InvalidRequestError, match="Checkout Session"):
        await client.v1.setup_intents.cancel_async(str(session.setup_intent))
    declined = await sandbox.http.post(f"/c/pay/{session.id}", data={"action": "decline"})
    assert declined.status_code == 402
    asked = await sandbox.http.post(f"/c/pay/{session.id}", data={"action": "authenticate"})
    answer = await sandbox.http.post(asked.headers["location"], data={"outcome": "pass"})
    assert answer.headers["location"] == RETURN_URL
    after = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["setup_intent.payment_method"]})
    assert (after.status, after.payment_intent) == ("complete", None)
    assert isinstance(after.setup_intent, stripe.SetupIntent)
    assert isinstance(after.setup_intent.payment_method, stripe.PaymentMethod)
    assert after.setup_intent.payment_method.customer == customer
    assert after.setup_intent.metadata is not None
    assert after.setup_intent.metadata.to_dict() == {"account": "acc_2"}
    await receiver.until_about(session.id, "checkout.session.completed")


async def test_a_setup_session_that_expires_takes_its_intent_along(client: stripe.StripeClient) -> None:
    session = await a_setup_session(client)
    await client.v1.checkout.sessions.expire_async(session.id)
    assert (await client.v1.setup_intents.retrieve_async(str(session.setup_intent))).status == "canceled"


async def test_a_payment_on_checkouts_page_can_keep_the_card_for_a_customer_made_then(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    line = {"price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "50"}}, "quantity": 1}
    params: Any = {"mode": "payment", "line_items": [line], "success_url": RETURN_URL,
                   "payment_intent_data": {"setup_future_usage": "off_session"}}  # fmt: skip
    session = await client.v1.checkout.sessions.create_async(params)
    await sandbox.http.post(f"/c/pay/{session.id}", data={"action": "pay"})
    after = await client.v1.checkout.sessions.retrieve_async(session.id)
    [kept] = (await client.v1.customers.payment_methods.list_async(str(after.customer))).data
    assert await pay_off_session(client, str(after.customer), kept.id) == "succeeded"
