"""Payment intents by card and by bank account, through every state, as Stripe's test cards lead them."""

from typing import Any

import httpx2
import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox

RETURN_URL = "https://shop.example/back?order=7"


def card_intent(**more: Any) -> Any:
    return {"amount": 1999, "currency": "usd", "return_url": RETURN_URL, "confirm": True, **more}


async def test_a_good_card_pays_at_once(client: stripe.StripeClient, receiver: Receiver) -> None:
    customer = await client.v1.customers.create_async({"email": "a@example.com", "metadata": {"account": "acc_1"}})
    intent = await client.v1.payment_intents.create_async(
        card_intent(payment_method="pm_card_visa", customer=customer.id, metadata={"purchase": "pur_1"})
    )
    assert (intent.status, intent.amount_received, intent.livemode) == ("succeeded", 1999, False)
    assert isinstance(intent.latest_charge, str)
    charge = await client.v1.charges.retrieve_async(intent.latest_charge)
    assert (charge.status, charge.amount_captured, charge.customer) == ("succeeded", 1999, customer.id)
    assert charge.metadata.to_dict() == {"purchase": "pur_1"}
    await receiver.until_about(intent.id, "payment_intent.created", "payment_intent.succeeded")
    await receiver.until_about(charge.id, "charge.succeeded", "charge.updated")


async def test_an_intent_waits_for_its_method_then_for_its_confirmation(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 1000, "currency": "eur"})
    assert (intent.status, intent.payment_method_types) == ("requires_payment_method", ["card"])
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await client.v1.payment_intents.confirm_async(intent.id, {"return_url": RETURN_URL})
    intent = await client.v1.payment_intents.update_async(intent.id, {"payment_method": "pm_card_visa", "amount": 1200})
    assert (intent.status, intent.amount) == ("requires_confirmation", 1200)
    intent = await client.v1.payment_intents.confirm_async(intent.id, {"return_url": RETURN_URL})
    assert (intent.status, intent.amount_received) == ("succeeded", 1200)


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
async def test_a_declined_card_leaves_the_intent_without_a_method(
    client: stripe.StripeClient, receiver: Receiver, token: str, code: str, decline_code: str
) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 1999, "currency": "usd"})
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_intents.confirm_async(intent.id, {"payment_method": token, "return_url": RETURN_URL})
    error = refused.value.error
    assert error is not None
    assert (refused.value.http_status, error.code, error.decline_code) == (402, code, decline_code)
    assert error.payment_intent is not None
    assert error.payment_intent.id == intent.id
    after = await client.v1.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    assert (after.status, after.payment_method, after.amount_received) == ("requires_payment_method", None, 0)
    assert after.last_payment_error is not None
    assert after.last_payment_error.decline_code == decline_code
    assert isinstance(after.latest_charge, stripe.Charge)
    assert (after.latest_charge.status, after.latest_charge.failure_code) == ("failed", code)
    await receiver.until_about(intent.id, "payment_intent.payment_failed")
    await receiver.until_about(after.latest_charge.id, "charge.failed")


async def test_another_card_pays_after_a_decline(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 1999, "currency": "usd"})
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_visa_chargeDeclined", "return_url": RETURN_URL}
        )
    intent = await client.v1.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL}
    )
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    charges = await client.v1.charges.list_async({"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


@pytest.mark.parametrize("number", ["4000002760003184", "4000002500003155"])
@pytest.mark.parametrize("outcome", ["pass", "fail"])
async def test_a_bank_that_asks_decides_by_the_answer(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, number: str, outcome: str
) -> None:
    card: Any = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = await client.v1.payment_methods.create_async({"type": "card", "card": card})
    intent = await client.v1.payment_intents.create_async(card_intent(payment_method=method.id))
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = str(intent.next_action.redirect_to_url.url)
    page = await sandbox.http.get(url)
    assert "Your bank asks" in page.text
    answer = await sandbox.http.post(url, data={"outcome": outcome})
    assert answer.status_code == 303
    back = httpx2.URL(answer.headers["location"])
    assert back.params["order"] == "7"
    assert back.params["payment_intent"] == intent.id
    assert back.params["redirect_status"] == ("succeeded" if outcome == "pass" else "failed")
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.next_action is None
    assert after.status == ("succeeded" if outcome == "pass" else "requires_payment_method")
    await receiver.until_about(
        intent.id,
        "payment_intent.requires_action",
        "payment_intent.succeeded" if outcome == "pass" else "payment_intent.payment_failed",
    )
    assert (await sandbox.http.post(url, data={"outcome": "pass"})).status_code == 409


async def test_failed_authentication_is_remembered_without_a_charge(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    intent = await client.v1.payment_intents.create_async(card_intent(payment_method="pm_card_authenticationRequired"))
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    await sandbox.http.post(str(intent.next_action.redirect_to_url.url), data={"outcome": "fail"})
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    assert after.latest_charge is None


async def test_a_card_declined_after_authentication_fails_the_intent(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    intent = await client.v1.payment_intents.create_async(
        card_intent(payment_method="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
    )
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    await sandbox.http.post(str(intent.next_action.redirect_to_url.url), data={"outcome": "pass"})
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.decline_code) == ("requires_payment_method", "insufficient_funds")


async def test_nobody_authenticates_off_session_unless_the_card_was_set_up(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    customer = await client.v1.customers.create_async({})
    first = await client.v1.payment_intents.create_async(
        card_intent(
            payment_method="pm_card_authenticationRequiredOnSetup",
            customer=customer.id,
            setup_future_usage="off_session",
        )
    )
    assert first.next_action is not None
    assert first.next_action.redirect_to_url is not None
    await sandbox.http.post(str(first.next_action.redirect_to_url.url), data={"outcome": "pass"})
    saved = await client.v1.customers.payment_methods.list_async(customer.id)
    assert len(saved.data) == 1
    off_session: Any = {
        "amount": 500, "currency": "usd", "customer": customer.id, "payment_method": saved.data[0].id,
        "off_session": True, "confirm": True,
    }  # fmt: skip
    assert (await client.v1.payment_intents.create_async(off_session)).status == "succeeded"
    fresh = await client.v1.payment_methods.attach_async(
        "pm_card_authenticationRequiredOnSetup", {"customer": customer.id}
    )
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_intents.create_async(off_session | {"payment_method": fresh.id})
    assert refused.value.code == "authentication_required"


async def test_a_browser_confirms_with_the_secret_and_sees_what_browsers_see(
    client: stripe.StripeClient, browser: stripe.StripeClient
) -> None:
    intent = await client.v1.payment_intents.create_async(
        {"amount": 700, "currency": "usd", "metadata": {"purchase": "pur_2"}}
    )
    card: Any = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2041, "cvc": "123"}
    method = await browser.v1.payment_methods.create_async({"type": "card", "card": card})
    proof: Any = {"client_secret": intent.client_secret, "payment_method": method.id}
    with pytest.raises(stripe.InvalidRequestError, match="No such paymentintent"):
        await browser.v1.payment_intents.confirm_async(intent.id, proof | {"client_secret": "another"})
    seen = await browser.v1.payment_intents.confirm_async(intent.id, proof)
    assert seen.status == "succeeded"
    assert not {"metadata", "customer", "latest_charge"} & set(seen.to_dict())
    again = await browser.v1.payment_intents.retrieve_async(intent.id, {"client_secret": str(intent.client_secret)})
    assert again.status == "succeeded"
    with pytest.raises(stripe.PermissionError) as refused:
        await browser.v1.payment_intents.list_async()
    assert refused.value.error is not None
    assert refused.value.error.code == "secret_key_required"


async def test_a_browser_without_a_return_address_is_led_by_the_sdk(
    client: stripe.StripeClient, browser: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 700, "currency": "usd"})
    proof: Any = {"client_secret": intent.client_secret, "payment_method": "pm_card_authenticationRequired"}
    waiting = await browser.v1.payment_intents.confirm_async(intent.id, proof)
    assert waiting.next_action is not None
    assert waiting.next_action.use_stripe_sdk is not None
    bank = waiting.next_action.use_stripe_sdk.to_dict()["stripe_js"]
    assert (await sandbox.http.get(f"/c/authenticate/{intent.id}?client_secret=guessed")).status_code == 404
    assert "You may close this page" in (await sandbox.http.post(bank, data={"outcome": "pass"})).text
    assert (await client.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_server_must_say_where_redirecting_methods_return_to(client: stripe.StripeClient) -> None:
    lost: Any = {"amount": 700, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await client.v1.payment_intents.create_async(lost)
    staying: Any = {**lost, "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    assert (await client.v1.payment_intents.create_async(staying)).status == "succeeded"


async def test_an_unpaid_intent_can_be_canceled_and_a_paid_one_cannot(
    client: stripe.StripeClient, receiver: Receiver
) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 700, "currency": "usd"})
    canceled = await client.v1.payment_intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    await receiver.until_about(intent.id, "payment_intent.canceled")
    paid = await client.v1.payment_intents.create_async(card_intent(payment_method="pm_card_visa"))
    for call in (client.v1.payment_intents.cancel_async(paid.id), client.v1.payment_intents.confirm_async(paid.id)):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await call
        assert refused.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError, match="could not be updated"):
        await client.v1.payment_intents.update_async(paid.id, {"amount": 1})


async def test_a_bank_debit_is_processing_before_it_succeeds(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await client.v1.payment_intents.create_async(card_intent(payment_method="pm_usBankAccount_success"))
    assert (intent.status, intent.amount_received) == ("processing", 0)
    await receiver.until_about(intent.id, "payment_intent.processing", "payment_intent.succeeded")
    after = await client.v1.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    assert isinstance(after.latest_charge, stripe.Charge)
    assert (after.status, after.latest_charge.status) == ("succeeded", "succeeded")


async def test_a_bank_debit_can_fail_days_later(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    intent = await client.v1.payment_intents.create_async(
        card_intent(payment_method="pm_usBankAccount_insufficientFunds")
    )
    await receiver.until_about(intent.id, "payment_intent.payment_failed")
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.code) == ("requires_payment_method", "insufficient_funds")
    late = await sandbox.http.post(f"/sandbox/payment_intents/{intent.id}/settle", json={"outcome": "succeeded"})
    assert late.status_code == 409


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (0, "usd", "parameter_invalid_integer"),
        (-5, "usd", "parameter_invalid_integer"),
        (100_000_000, "usd", "amount_too_large"),
        (49, "jpy", "amount_too_small"),
        (100, "xyz", None),
        (1001, "kwd", None),
        (550, "isk", None),
        (17_499, "huf", "amount_too_small"),
    ],
)
async def test_amounts_follow_the_rules_of_their_currency(
    client: stripe.StripeClient, amount: int, currency: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async({"amount": amount, "currency": currency})
    assert refused.value.code == code


async def test_every_call_that_takes_an_amount_minds_the_currency(client: stripe.StripeClient) -> None:
    paid = await client.v1.payment_intents.create_async(
        card_intent(amount=5000, currency="kwd", payment_method="pm_card_visa")
    )
    price: Any = {"currency": "bhd", "unit_amount": 4999, "product_data": {"name": "50 credits"}}
    line: Any = {"price_data": {**price, "currency": "ugx", "unit_amount": 370_050}, "quantity": 2}
    session: Any = {"mode": "payment", "line_items": [line], "success_url": RETURN_URL}
    for call in (
        client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 1001}),
        client.v1.prices.create_async(price),
        client.v1.checkout.sessions.create_async(session),
        client.v1.payment_intents.update_async(
            (await client.v1.payment_intents.create_async({"amount": 5000, "currency": "jod"})).id, {"amount": 5005}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="must be 0"):
            await call
    assert (await client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 1000})).amount == 1000


async def test_a_zero_decimal_currency_is_charged_in_whole_units(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async(
        card_intent(amount=1500, currency="jpy", payment_method="pm_card_visa", capture_method="automatic",
                    expand=["latest_charge.balance_transaction"])
    )  # fmt: skip
    assert isinstance(intent.latest_charge, stripe.Charge)
    entry = intent.latest_charge.balance_transaction
    assert isinstance(entry, stripe.BalanceTransaction)
    assert (entry.amount, entry.currency, entry.fee, entry.net) == (1500, "jpy", 74, 1426)


async def test_a_card_used_without_a_customer_cannot_be_used_again(client: stripe.StripeClient) -> None:
    card: Any = {"number": "4242 4242 4242 4242", "exp_month": 1, "exp_year": 41}
    method = await client.v1.payment_methods.create_async({"type": "card", "card": card})
    await client.v1.payment_intents.create_async(card_intent(payment_method=method.id))
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await client.v1.payment_intents.create_async(card_intent(payment_method=method.id))


async def test_a_saved_card_pays_only_for_its_customer(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"payment_method": "pm_card_visa"})
    [method] = (await client.v1.payment_methods.list_async({"customer": customer.id, "type": "card"})).data
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}, "metadata": {"a": "1"}}
    )
    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
        await client.v1.payment_intents.create_async(card_intent(payment_method=method.id))
    for _ in range(2):
        paid = await client.v1.payment_intents.create_async(card_intent(payment_method=method.id, customer=customer.id))
        assert paid.status == "succeeded"
    await client.v1.payment_methods.detach_async(method.id)
    after = await client.v1.customers.retrieve_async(customer.id)
    assert after.invoice_settings is not None
    assert after.invoice_settings.default_payment_method is None


@pytest.mark.parametrize(
    ("number", "code"), [("4242424242424241", "incorrect_number"), ("4111111111111111", "card_declined")]
)
async def test_only_stripes_test_cards_are_cards(client: stripe.StripeClient, number: str, code: str) -> None:
    card: Any = {"number": number, "exp_month": 1, "exp_year": 2041}
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_methods.create_async({"type": "card", "card": card})
    assert refused.value.code == code


async def test_no_card_number_is_kept_in_the_log(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    card: Any = {"number": "5555555555554444", "exp_month": 1, "exp_year": 2041}
    await client.v1.payment_methods.create_async({"type": "card", "card": card})
    log = (await sandbox.http.get("/sandbox/requests")).text
    assert "5555555555554444" not in log
    assert "************4444" in log
