"""Webhooks: signed as Stripe signs, tried again, and gone wrong on purpose."""

import time
from typing import Any

import pytest
import stripe

from tests.support import stripe_checks
from tests.support.stripe_sandbox import SECRET, Received, Receiver, RunningSandbox, until


async def a_payment(client: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    params: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
                   "return_url": "https://a.example", **more}  # fmt: skip
    return await client.v1.payment_intents.create_async(params)


async def event_about(client: stripe.StripeClient, name: str, kind: str) -> stripe.Event:
    page = await client.v1.events.list_async({"type": kind, "limit": 100})
    return next(event for event in page.data if event.to_dict()["data"]["object"]["id"] == name)


async def deliveries_of(sandbox: RunningSandbox, event: str) -> list[dict[str, Any]]:
    deliveries: list[dict[str, Any]] = (await sandbox.get(f"deliveries?event={event}"))["data"]
    return deliveries


async def is_delivered(client: stripe.StripeClient, event: str) -> bool:
    return (await client.v1.events.retrieve_async(event)).pending_webhooks == 0


async def first_sent_at(client: stripe.StripeClient, sandbox: RunningSandbox, customer: str) -> float:
    event = await event_about(client, customer, "customer.created")
    [delivery] = await deliveries_of(sandbox, event.id)
    at: float = delivery["attempts"][0]["at"]
    return at


async def test_stripes_own_verifier_accepts_the_signature(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_payment(client)
    await receiver.until_about(intent.id, "payment_intent.succeeded")
    for webhook in receiver.about(intent.id):
        assert stripe.WebhookSignature.verify_header(webhook.body.decode(), webhook.signature, SECRET, 300)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(webhook.body.decode(), webhook.signature, "whsec_other", 300)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(webhook.body.decode() + " ", webhook.signature, SECRET, 300)


async def test_an_event_says_which_request_caused_it(client: stripe.StripeClient, receiver: Receiver) -> None:
    customer = await client.v1.customers.create_async({}, {"idempotency_key": "key-of-event"})
    await receiver.until_about(customer.id, "customer.created")
    [webhook] = receiver.about(customer.id)
    event = webhook.event
    assert (event["api_version"], event["livemode"], event["pending_webhooks"]) == ("2026-10-28.endive", False, 1)
    assert event["request"]["idempotency_key"] == "key-of-event"
    assert event["request"]["id"].startswith("req_")
    read = await client.v1.events.retrieve_async(event["id"])
    assert read.to_dict()["data"] == event["data"]


async def test_an_update_says_what_it_changed(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"name": "Before"})
    await client.v1.customers.update_async(customer.id, {"name": "After"})
    event = await event_about(client, customer.id, "customer.updated")
    assert event.to_dict()["data"]["previous_attributes"] == {"name": "Before"}


async def test_a_webhook_is_sent_again_until_somebody_says_2xx(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    receiver.answers[:] = [500, 302, 404]
    customer = await client.v1.customers.create_async({})
    await receiver.until(lambda: len(receiver.about(customer.id)) == 4)
    sent = receiver.about(customer.id)
    assert len({each.body for each in sent}) == 1
    event = sent[0].event["id"]
    await until(lambda: is_delivered(client, event))
    [delivery] = await deliveries_of(sandbox, event)
    assert (delivery["state"], [each["status"] for each in delivery["attempts"]]) == ("delivered", [500, 302, 404, 200])


async def test_events_can_be_listed_by_whether_they_were_delivered(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"drop": ["customer.created"]})
    lost = await client.v1.customers.create_async({})
    await sandbox.put("webhooks", {})
    heard = await client.v1.customers.create_async({})
    await receiver.until_about(heard.id, "customer.created")
    event = await event_about(client, heard.id, "customer.created")
    await until(lambda: is_delivered(client, event.id))
    undelivered = await client.v1.events.list_async({"delivery_success": False, "types": ["customer.created"]})
    assert [event.to_dict()["data"]["object"]["id"] for event in undelivered.data] == [lost.id]
    assert receiver.about(lost.id) == []
    found = await client.v1.events.list_async({"type": "customer.*", "limit": 100})
    assert {event.type for event in found.data} >= {"customer.created", "customer.updated"}
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.events.list_async({"type": "customer.created", "types": ["customer.created"]})


async def test_events_are_listed_newest_first_by_age_and_types_page_by_page(client: stripe.StripeClient) -> None:
    began = int(time.time())
    made = [(await client.v1.customers.create_async({})).id for _ in range(3)]
    for customer in made:
        await client.v1.customers.update_async(customer, {"name": "Ada"})
    await client.v1.products.create_async({"name": "Another"})
    params: Any = {"types": ["customer.created", "customer.updated"], "created": {"gte": began - 1}, "limit": 4}
    first = await client.v1.events.list_async(params)
    after: Any = {**params, "starting_after": first.data[-1].id, "limit": 2}
    rest = await client.v1.events.list_async(after)
    told = [(event.type, event.to_dict()["data"]["object"]["id"]) for event in [*first.data, *rest.data]]
    kinds = ("customer.updated", "customer.created")
    assert (first.has_more, told) == (True, [(kind, customer) for kind in kinds for customer in reversed(made)])
    for created in ({"lt": began - 1}, {"gt": int(time.time()) + 60}):
        narrow: Any = {**params, "created": created, "types": ["product.created"]}
        assert [one for one in (await client.v1.events.list_async(narrow)).data if one.created >= began] == []
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.events.list_async({"types": ["customer.created"] * 21})
    after["starting_after"] = "evt_forgotten"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.events.list_async(after)
    assert refused.value.code == "resource_missing"


async def test_a_lost_event_can_be_delivered_after_all(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"drop": 1.0})
    customer = await client.v1.customers.create_async({})
    event = await event_about(client, customer.id, "customer.created")
    assert event.pending_webhooks == 1
    outcome = await sandbox.post(f"events/{event.id}/redeliver", {"times": 5, "concurrently": True})
    assert [attempt["status"] for attempt in outcome["attempts"]] == [200] * 5
    assert len(receiver.about(customer.id)) == 5
    assert (await client.v1.events.retrieve_async(event.id)).pending_webhooks == 0


async def test_every_webhook_can_come_several_times(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"duplicate": 3})
    customer = await client.v1.customers.create_async({})
    await receiver.until(lambda: len(receiver.about(customer.id)) == 4)
    assert len({each.event["id"] for each in receiver.about(customer.id)}) == 1


async def test_webhooks_can_be_late_and_can_be_held_back(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"delay_ms": 400})
    began = time.monotonic()
    late = await client.v1.customers.create_async({})
    await receiver.until_about(late.id, "customer.created")
    assert time.monotonic() - began >= 0.4
    await sandbox.put("webhooks", {"paused": True})
    held = await client.v1.customers.create_async({})
    event = await event_about(client, held.id, "customer.created")
    [delivery] = await deliveries_of(sandbox, event.id)
    assert (delivery["state"], delivery["tries"], receiver.about(held.id)) == ("pending", 0, [])
    await sandbox.put("webhooks", {})
    await receiver.until_about(held.id, "customer.created")


async def test_webhooks_can_overtake_each_other_and_the_seed_says_how(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    orders = []
    for _ in range(2):
        await sandbox.put("webhooks", {"reorder": 8, "seed": 11})
        made = [(await client.v1.customers.create_async({})).id for _ in range(8)]
        await receiver.until(lambda made=made: all(receiver.about(each) for each in made))  # type: ignore[misc]
        sent_at = [await first_sent_at(client, sandbox, each) for each in made]
        orders.append(sorted(range(8), key=sent_at.__getitem__))
    assert sorted(orders[0]) == list(range(8))
    assert orders[0] != list(range(8))
    assert orders[0] == orders[1]


async def test_a_window_that_does_not_fill_up_is_let_go(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"reorder": 100})
    customer = await client.v1.customers.create_async({})
    await receiver.until_about(customer.id, "customer.created")


async def test_a_fraction_of_webhooks_can_get_lost(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    lost = []
    for _ in range(2):
        await sandbox.put("webhooks", {"drop": 0.5, "seed": 3})
        made = [(await client.v1.customers.create_async({})).id for _ in range(10)]
        events = [await event_about(client, each, "customer.created") for each in made]
        states = [(await deliveries_of(sandbox, event.id))[0]["state"] for event in events]
        lost.append([state == "dropped" for state in states])
    assert 0 < sum(lost[0]) < 10
    assert lost[0] == lost[1]


@pytest.mark.parametrize("forgery", [{"secret": "whsec_wrong"}, {"timestamp_offset_s": -301}])
async def test_a_signature_can_be_wrong_or_old(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, forgery: dict[str, Any]
) -> None:
    customer = await client.v1.customers.create_async({})
    await receiver.until_about(customer.id, "customer.created")
    event = receiver.about(customer.id)[0].event["id"]
    await sandbox.post(f"events/{event}/resend_with", forgery)
    good, bad = receiver.about(customer.id)
    assert stripe.WebhookSignature.verify_header(good.body.decode(), good.signature, SECRET, 300)
    assert bad.body == good.body
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(bad.body.decode(), bad.signature, SECRET, 300)


async def test_a_signature_can_be_of_the_future(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    customer = await client.v1.customers.create_async({})
    await receiver.until_about(customer.id, "customer.created")
    event = receiver.about(customer.id)[0].event["id"]
    await sandbox.post(f"events/{event}/resend_with", {"timestamp_offset_s": 3600})
    signed_at = int(receiver.about(customer.id)[1].signature.split(",")[0].removeprefix("t="))
    assert signed_at > time.time() + 3000


def is_signed_by(webhook: Received, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(webhook.body.decode(), webhook.signature, secret, 300)
    except stripe.SignatureVerificationError:
        return False
    return True


async def test_a_first_attempt_can_be_signed_wrongly_and_the_next_rightly(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await sandbox.put("webhooks", {"wrong_signature": 1})
    receiver.answers[:] = [400]
    customer = (await client.v1.customers.create_async({})).id
    await receiver.until(lambda: len(receiver.about(customer)) == 2)
    assert [is_signed_by(webhook, SECRET) for webhook in receiver.about(customer)] == [False, True]


async def test_secrets_can_be_rotated(client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver) -> None:
    signers = []
    for secrets in (["whsec_new", SECRET], ["whsec_old"], []):
        await sandbox.put("webhooks", {"secrets": secrets})
        customer = (await client.v1.customers.create_async({})).id
        await receiver.until_about(customer, "customer.created")
        [webhook] = receiver.about(customer)
        signers.append([each for each in (SECRET, "whsec_new", "whsec_old") if is_signed_by(webhook, each)])
    assert signers == [[SECRET, "whsec_new"], ["whsec_old"], [SECRET]]


@pytest.mark.parametrize(
    "switches",
    [
        {"duplicate": 1, "duplicated": 0.5},
        {"wrong_signature": 0.5},
        {"secrets": ["whsec_new"], "rotated": 0.5},
        {"delay_ms": 300, "delayed": 0.5},
    ],
)
async def test_a_fraction_of_webhooks_goes_wrong_and_the_seed_says_which(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, switches: dict[str, Any]
) -> None:
    struck = []
    for _ in range(2):
        await sandbox.put("webhooks", {**switches, "seed": 5})
        made = []
        for _ in range(10):
            began = time.monotonic()
            customer = (await client.v1.customers.create_async({})).id
            await receiver.until_about(customer, "customer.created")
            made.append((customer, time.monotonic() - began >= 0.3))
        event = await event_about(client, made[-1][0], "customer.created")
        await until(lambda event=event: is_delivered(client, event.id))  # type: ignore[misc]
        struck.append(
            [
                late or len(receiver.about(name)) > 1 or not is_signed_by(receiver.about(name)[0], SECRET)
                for name, late in made
            ]
        )
    assert 0 < sum(struck[0]) < 10
    assert struck[0] == struck[1]


async def test_events_can_tell_of_what_is_not_in_the_books(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    foreign = await sandbox.post(
        "events", {"type": "payment_intent.succeeded", "object": {"amount": 5000, "status": "succeeded"}}
    )
    name = foreign["data"]["object"]["id"]
    await receiver.until_about(name, "payment_intent.succeeded")
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payment_intents.retrieve_async(name)
    intent = await a_payment(client)
    await receiver.until_about(intent.id, "payment_intent.succeeded")
    await sandbox.post(
        "events", {"type": "payment_intent.succeeded", "like": intent.id, "object": {"amount_received": 999_999}}
    )
    await receiver.until(lambda: receiver.types_about(intent.id).count("payment_intent.succeeded") == 2)
    told = [each.event["data"]["object"]["amount_received"] for each in receiver.about(intent.id)]
    assert 999_999 in told
    assert (await client.v1.payment_intents.retrieve_async(intent.id)).amount_received == 1000
    tax_rate = stripe_checks.samples()["tax_rate"]
    await sandbox.post("events", {"type": "tax_rate.created", "object": tax_rate})
    await receiver.until_about(tax_rate["id"], "tax_rate.created")
    for wrong in ({"type": "account.updated"}, {"type": "payment_intent.succeeded", "like": "pi_none"}, {"type": "?"}):
        assert (await sandbox.http.post("/sandbox/events", json=wrong)).status_code in (404, 422)


async def test_an_endpoint_of_its_own_hears_what_it_asked_for(client: stripe.StripeClient, receiver: Receiver) -> None:
    endpoint = await client.v1.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": ["product.created"], "api_version": "2026-10-28.endive"}
    )
    assert endpoint.secret is not None
    product = await client.v1.products.create_async({"name": "Heard twice"})
    customer = await client.v1.customers.create_async({})
    await receiver.until(lambda: len(receiver.about(product.id)) == 2)
    await receiver.until_about(customer.id, "customer.created")
    assert len(receiver.about(customer.id)) == 1
    verified = 0
    for webhook in receiver.about(product.id):
        try:
            stripe.WebhookSignature.verify_header(webhook.body.decode(), webhook.signature, endpoint.secret, 300)
            verified += 1
        except stripe.SignatureVerificationError:
            stripe.WebhookSignature.verify_header(webhook.body.decode(), webhook.signature, SECRET, 300)
    assert verified == 1
    seen = await client.v1.webhook_endpoints.retrieve_async(endpoint.id)
    assert "secret" not in seen.to_dict()
    await client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True, "description": "Off"})
    assert (await client.v1.webhook_endpoints.delete_async(endpoint.id)).deleted
    assert endpoint.id not in [each.id for each in (await client.v1.webhook_endpoints.list_async()).data]


async def test_webhooks_go_out_at_once_over_connections_that_are_kept(
    client: stripe.StripeClient, receiver: Receiver
) -> None:
    before = receiver.connections
    for _ in range(20):
        customer = await client.v1.customers.create_async({})
        await receiver.until_about(customer.id, "customer.created")
    assert receiver.connections - before <= 1
