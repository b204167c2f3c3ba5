"""Bad input from every side: a clear problem or a dead letter with its reason; nothing lost, nothing credited."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.cli.customer import Customer, Refused, wait_for
from deploy.embedded.stack import Stack
from libs.contracts import ids
from libs.contracts.envelope import LARGEST_EVENT_BYTES, CloudEvent
from libs.contracts.events import UsageRejected
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.topics import CREDITS_EVENTS, USAGE_EVENTS
from tests.e2e.conftest import SignUp
from tests.e2e.test_path import CHECKOUT, bought
from tests.support.sandbox import Sandbox


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"pack": "no-such-pack"}, "PAY017"),
        ({"amount_credits": "0"}, "PAY007"),
        ({"amount_credits": "-5"}, "PAY007"),
        ({"amount_credits": 5}, "PAY007"),
        ({"amount_credits": "1.1234567"}, "PAY007"),
        ({"amount_credits": "50000"}, "PAY006"),
        ({"amount_money": {"amount_minor": 0, "currency": "usd"}}, "PAY007"),
        ({"amount_money": {"amount_minor": True, "currency": "usd"}}, "PAY007"),
        ({"pack": "starter", "currency": "jpy"}, "PAY030"),
        ({"pack": "starter", "amount_credits": "5"}, "PAY007"),
        ({}, "PAY007"),
        ({"pack": "starter", "coupon": "x"}, "PAY007"),
        ({"pack": "starter", **CHECKOUT, "return_url": "https://evil.example/"}, "PAY020"),
        ({"pack": "starter", "method": "checkout"}, "PAY007"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_its_code(
    customer: Customer, order: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await customer.buy(**order)
    assert refused.value.code == code
    assert refused.value.problem["detail"]


async def test_a_purchase_without_a_key_or_a_token_is_refused(customer: Customer, gateway: httpx2.AsyncClient) -> None:
    nobody = await gateway.post("/v1/purchases", json={"pack": "starter"}, headers={"Idempotency-Key": "k"})
    assert (nobody.status_code, nobody.json()["code"]) == (401, "PAY011")
    token = {"Authorization": f"Bearer {customer.session.access_token}"}
    keyless = await gateway.post("/v1/purchases", json={"pack": "starter"}, headers=token)
    assert (keyless.status_code, keyless.json()["code"]) == (400, "PAY008")


async def test_a_refund_of_more_than_was_paid_is_refused(customer: Customer) -> None:
    purchase = await bought(customer, 60_000_000)
    with pytest.raises(Refused, match="PAY019"):
        await customer.refund(purchase, amount={"amount_minor": 1000, "currency": "usd"})
    assert (await customer.balance()).available == 60_000_000


@pytest.mark.parametrize(
    "forgery",
    [{"secret": "whsec_wrong"}, {"timestamp_offset_s": -301}, {"timestamp_offset_s": 301}],
    ids=["wrong secret", "too old", "from the future"],
)
async def test_a_webhook_signed_wrongly_is_answered_400_and_credits_nothing(
    customer: Customer, sandbox: Sandbox, forgery: dict[str, Any]
) -> None:
    purchase = await customer.buy("starter")
    await sandbox.webhooks(drop=["payment_intent.succeeded"])
    await customer.pay(purchase)
    (succeeded,) = await sandbox.events(purchase, "payment_intent.succeeded")
    answer = await sandbox.forge(succeeded, **forgery)
    assert [attempt["status"] for attempt in answer["attempts"]] == [400]
    await sandbox.redeliver(succeeded)
    balance = await customer.wait_until(lambda b: b.available > 10_000_000)
    assert balance.available == 60_000_000


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"amount": 1, "amount_received": 1}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"customer": "cus_somebody_else"}, "customer"),
        ({"livemode": True}, "livemode"),
    ],
)
async def test_a_payment_that_differs_from_the_purchase_is_put_aside_and_credits_nothing(
    customer: Customer, stack: Stack, sandbox: Sandbox, changed: dict[str, Any], reason: str
) -> None:
    purchase = await customer.buy("starter")
    (payment,) = await sandbox.payments_of(purchase)
    await sandbox.inject("payment_intent.succeeded", like=payment["id"], **{"status": "succeeded", **changed})
    found = await wait_for(lambda: put_aside(stack, purchase))
    assert found == reason
    assert (await customer.balance()).available == 10_000_000


async def test_a_payment_for_a_purchase_we_never_made_is_put_aside(
    customer: Customer, stack: Stack, sandbox: Sandbox
) -> None:
    purchase = await customer.buy("starter")
    (payment,) = await sandbox.payments_of(purchase)
    stranger = {**payment["metadata"], "purchase": ids.show("purchase", ids.new_id())}
    intent = f"pi_{uuid4().hex}"
    changed = {"id": intent, "status": "succeeded", "amount_received": 999, "metadata": stranger}
    await sandbox.inject("payment_intent.succeeded", like=payment["id"], **changed)
    assert await wait_for(lambda: put_aside(stack, intent)) == "unknown_purchase"
    assert (await customer.balance()).available == 10_000_000


async def put_aside(stack: Stack, what: Purchase | str) -> str | None:
    conn = await asyncpg.connect(stack.databases["payments"].app_url)
    try:
        if isinstance(what, str):
            found = await conn.fetchval("SELECT reason FROM quarantine WHERE object_id = $1", what)
        else:
            found = await conn.fetchval("SELECT reason FROM quarantine WHERE purchase = $1", what.id)
    finally:
        await conn.close()
    return None if found is None else str(found)


@asynccontextmanager
async def records_of(stack: Stack, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=stack.infrastructure.kafka,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"{}",
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"somebody"}',
        b"x" * 300_000,
    ],
    ids=["not json", "no attributes", "subject is no account", "oversized"],
)
async def test_a_usage_record_that_is_no_event_becomes_a_dead_letter_with_its_reason(
    customer: Customer, stack: Stack, payload: bytes
) -> None:
    key = uuid4().hex.encode()
    producer = AIOKafkaProducer(bootstrap_servers=stack.infrastructure.kafka)
    await producer.start()
    await producer.send_and_wait(USAGE_EVENTS.name, payload, key=key)
    await producer.stop()
    async with records_of(stack, USAGE_EVENTS.dead_letters.name) as consumer:

        async def look() -> dict[str, bytes] | None:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    if record.key == key:
                        assert record.value == (payload if len(payload) <= LARGEST_EVENT_BYTES else b"")
                        return dict(record.headers)
            return None

        headers = await wait_for(look)
    assert headers["dlq_error"].startswith(b"not a usage event")
    assert (await customer.balance()).available == 10_000_000


@pytest.mark.parametrize(
    ("meter", "data", "code"),
    [
        ("teleport", {"quantity": 1}, "PAY021"),
        ("video.generation", {"quantity": 1, "properties": {"resolution": "8k"}}, "PAY022"),
        ("video.generation", {"quantity": -1, "properties": {"resolution": "720p"}}, "PAY007"),
        ("video.generation", {"amount": 1}, "PAY007"),
    ],
)
async def test_usage_that_cannot_be_rated_is_refused_with_its_code(
    customer: Customer, stack: Stack, meter: str, data: dict[str, Any], code: str
) -> None:
    assert (await told_refusal(stack, ids.show("account", customer.account), meter, data)).code == code
    assert (await customer.balance()).available == 10_000_000


async def test_usage_of_an_account_that_does_not_exist_is_refused_with_its_code(stack: Stack) -> None:
    nobody = ids.show("account", ids.new_id())
    data = {"quantity": 1, "properties": {"resolution": "720p"}}
    assert (await told_refusal(stack, nobody, "video.generation", data)).code == "PAY028"


async def told_refusal(stack: Stack, account: str, meter: str, data: dict[str, Any]) -> UsageRejected:
    """Publish a usage event past our client, and wait for the event that tells of its refusal."""
    event = CloudEvent(id=uuid4().hex, source="/tests", type=meter, subject=account, data=data)
    producer = AIOKafkaProducer(bootstrap_servers=stack.infrastructure.kafka)
    await producer.start()
    await producer.send_and_wait(USAGE_EVENTS.name, event.encode(), key=account.encode())
    await producer.stop()
    async with records_of(stack, CREDITS_EVENTS.name) as consumer:

        async def look() -> UsageRejected | None:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    said = CloudEvent.decode(record.value)
                    if said.type == UsageRejected.type and said.data["usage_id"] == event.id:
                        return UsageRejected.of(said)
            return None

        return await wait_for(look)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([{"specversion": "1.0"}], 422),
        ({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "nobody", "data": {}}, 422),
    ],
    ids=["incomplete", "subject is no account"],
)
async def test_usage_over_http_that_cannot_be_read_is_refused_whole(
    customer: Customer, gateway: httpx2.AsyncClient, events: Any, status: int
) -> None:
    key = await customer.api_key("usage:write")
    headers = {"Authorization": f"Bearer {key.secret}", "Content-Type": "application/json"}
    answer = await gateway.post("/v1/events", content=json.dumps(events), headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_may_do_only_what_its_scopes_say(sign_up: SignUp, gateway: httpx2.AsyncClient) -> None:
    one, other = await sign_up(), await sign_up()
    reader, writer = await one.api_key("credits:read"), await one.api_key("usage:write")
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "video.generation", "data": {}}
    own = {**event, "subject": ids.show("account", one.account)}
    theirs = {**event, "subject": ids.show("account", other.account)}
    refused = await gateway.post("/v1/events", json=own, headers={"Authorization": f"Bearer {reader.secret}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "PAY012")
    refused = await gateway.post("/v1/events", json=theirs, headers={"Authorization": f"Bearer {writer.secret}"})
    assert refused.status_code in (403, 422)
    assert (await other.balance()).available == 10_000_000
