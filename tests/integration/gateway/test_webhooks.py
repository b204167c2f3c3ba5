"""Stripe's webhooks: checked, kept, told once; answered 2xx only after they are on disk."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY

from deploy.embedded.infrastructure import Infrastructure
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import StripeEventReceived
from libs.contracts.topics import STRIPE_EVENTS
from services.gateway.domain.stripe_webhooks import LARGEST_BODY
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway, published, signature
from tests.integration.gateway.proxy import Proxy


def an_event(type: str = "payment_intent.succeeded", **subject: Any) -> dict[str, Any]:
    """Make up an event of Stripe, of a customer of its own."""
    about = {"id": f"pi_{uuid4().hex}", "object": "payment_intent", "customer": f"cus_{uuid4().hex}"} | subject
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_790_000_000,
        "livemode": False,
        "type": type,
        "data": {"object": about},
    }


async def kept(gateway: Gateway) -> list[dict[str, Any]]:
    return await gateway.rows("SELECT * FROM stripe_event ORDER BY received_at")


async def told(gateway: Gateway) -> list[CloudEvent]:
    return await gateway.outbox(STRIPE_EVENTS)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("scrip_webhooks_total", {"outcome": outcome}) or 0.0


async def test_a_signed_event_is_kept_byte_for_byte_and_told(gateway: Gateway, infrastructure: Infrastructure) -> None:
    event = an_event(description="Müller\n&\u0000 Co", amount=999)
    body = json.dumps(event, indent=4).encode()
    before = counted("stored")
    answer = await gateway.webhook(body)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    (row,) = await kept(gateway)
    assert row["body"] == body
    assert (row["id"], row["type"], row["livemode"]) == (event["id"], event["type"], False)
    assert row["object_id"] == event["data"]["object"]["id"]
    assert row["api_version"] == "2026-10-28.endive"
    assert row["created"].timestamp() == event["created"]
    customer = event["data"]["object"]["customer"]
    (published_event,) = await published(infrastructure.kafka, STRIPE_EVENTS, key=customer, count=1)
    assert StripeEventReceived.of(published_event) == StripeEventReceived(object_id=customer, body=event)
    assert counted("stored") == before + 1


async def test_further_paths_take_webhooks_too(gateway: Gateway) -> None:
    body = json.dumps(an_event()).encode()
    answer = await gateway.send_webhook(body, signature(body), path="/api/webhooks/stripe")
    assert answer.status_code == 200
    assert len(await kept(gateway)) == 1
    assert (await gateway.send_webhook(body, signature(body), path="/webhook")).status_code == 404


async def test_unknown_types_are_kept_and_answered_alike(gateway: Gateway) -> None:
    assert (await gateway.webhook(an_event("treasury.moon_landing.created", object="moon"))).status_code == 200
    assert [row["type"] for row in await kept(gateway)] == ["treasury.moon_landing.created"]


async def test_a_repeated_event_is_answered_alike_and_told_once(gateway: Gateway) -> None:
    event = an_event()
    before = counted("duplicate")
    answers = [await gateway.webhook(event) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(await kept(gateway)) == 1
    assert len(await told(gateway)) == 1
    assert counted("duplicate") == before + 2


async def test_concurrent_twins_at_two_gateways_are_kept_and_told_once(run_gateway: RunGateway) -> None:
    events = [an_event() for _ in range(5)]
    async with run_gateway() as one, run_gateway() as other:
        sends = [each.webhook(event) for event in events for each in (one, other) for _ in range(4)]
        answers = await asyncio.gather(*sends)
        assert {answer.status_code for answer in answers} == {200}
        assert len(await kept(one)) == 5
        assert len(await told(one)) == 5


async def test_webhooks_that_come_at_once_are_kept_and_told_each_once_whichever_come_twice(gateway: Gateway) -> None:
    events = [an_event() for _ in range(20)]
    answers = await asyncio.gather(*(gateway.webhook(event) for event in events + events[:5]))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(row["id"] for row in await kept(gateway)) == sorted(event["id"] for event in events)
    bodies = [StripeEventReceived.of(event).body["id"] for event in await told(gateway)]
    assert sorted(bodies) == sorted(event["id"] for event in events)


async def test_webhooks_that_stripe_did_not_sign_are_refused_and_not_kept(gateway: Gateway) -> None:
    body = json.dumps(an_event()).encode()
    good = signature(body)
    timestamp, scheme = good.split(",")
    refused: dict[str, list[str | None]] = {
        "signature_missing": [None, ""],
        "signature_malformed": [
            timestamp,
            scheme,
            f"{timestamp},v0={scheme[3:]}",
            "t=now,v1=00",
            "nonsense",
            "t=,v1=é",
        ],
        "signature_wrong": [
            f"{timestamp},v1={'0' * 64}",
            f"{timestamp},v1=é",
            f"t={int(timestamp[2:]) - 1},{scheme}",
            signature(body, secret="whsec_other"),
            signature(body + b" "),
            signature(b"{}"),
        ],
    }
    for outcome, headers in refused.items():
        for header in headers:
            before = counted(outcome)
            answer = await gateway.send_webhook(body, header)
            assert (answer.status_code, answer.json()["code"]) == (400, "PAY005"), header
            assert counted(outcome) == before + 1, header
    assert await kept(gateway) == []


async def test_timestamps_far_from_now_are_refused_in_both_directions(gateway: Gateway) -> None:
    now = time.time()
    for seconds, outcome in ((-302, "timestamp_old"), (302, "timestamp_future")):
        before = counted(outcome)
        answer = await gateway.webhook(an_event(), at=now + seconds)
        assert (answer.status_code, answer.json()["code"]) == (400, "PAY005")
        assert counted(outcome) == before + 1
    assert (await gateway.webhook(an_event(), at=now - 290)).status_code == 200
    assert (await gateway.webhook(an_event(), at=now + 290)).status_code == 200
    assert len(await kept(gateway)) == 2


async def test_the_tolerance_follows_the_clock_that_is_passed_in(gateway: Gateway) -> None:
    await gateway.travel(timedelta(hours=1))
    assert (await gateway.webhook(an_event())).status_code == 400
    assert (await gateway.webhook(an_event(), at=time.time() + 3600)).status_code == 200


async def test_while_a_secret_is_rotated_both_are_good(run_gateway: RunGateway) -> None:
    async with run_gateway(stripe_webhook_secret="whsec_old, whsec_new") as gateway:
        assert (await gateway.webhook(an_event(), secret="whsec_old")).status_code == 200
        assert (await gateway.webhook(an_event(), secret="whsec_new")).status_code == 200
        body = json.dumps(an_event()).encode()
        both = f"{signature(body, secret='whsec_gone')},v1={signature(body, secret='whsec_new').split('v1=')[1]}"
        assert (await gateway.send_webhook(body, both)).status_code == 200
        assert (await gateway.webhook(an_event(), secret="whsec_gone")).status_code == 400


async def test_a_signed_body_that_is_no_event_is_refused(gateway: Gateway) -> None:
    bodies: list[Any] = [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        '{"id": "ÿ'.encode(),
        an_event() | {"object": "charge"},
        an_event() | {"id": ""},
        an_event() | {"id": "evt_" + "x" * 300},
        an_event() | {"id": "evt_\u0000"},
        an_event() | {"id": 7},
        an_event() | {"type": None},
        an_event() | {"created": "yesterday"},
        an_event() | {"created": 10**17},
        an_event() | {"data": None},
        an_event() | {"data": {"object": []}},
    ]
    for body in bodies:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await gateway.webhook(raw)
        assert (answer.status_code, answer.json()["code"]) == (400, "PAY031"), body
    assert await kept(gateway) == []


async def test_a_body_that_is_too_large_is_refused_however_it_comes(gateway: Gateway) -> None:
    large = json.dumps(an_event(description="x" * LARGEST_BODY)).encode()
    at_once = await gateway.webhook(large)
    assert (at_once.status_code, at_once.json()["code"]) == (413, "PAY025")

    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(large), 10_000):
            yield large[begin : begin + 10_000]

    headers = {"Stripe-Signature": signature(large)}
    in_pieces = await gateway.http.post("/v1/webhooks/stripe", content=pieces(), headers=headers)
    assert (in_pieces.status_code, in_pieces.json()["code"]) == (413, "PAY025")
    assert await kept(gateway) == []


async def test_the_largest_webhook_still_fits_what_consumers_read(gateway: Gateway) -> None:
    event = an_event(description="")
    room = LARGEST_BODY - len(json.dumps(event).encode())
    event["data"]["object"]["description"] = "ü" * (room // 2)
    body = json.dumps(event, ensure_ascii=False).encode()
    assert (await gateway.webhook(body)).status_code == 200
    (event_told,) = await told(gateway)
    assert StripeEventReceived.of(event_told).body == event


async def test_webhooks_are_answered_while_kafka_and_redis_are_away_and_told_when_kafka_is_back(
    run_gateway: RunGateway, infrastructure: Infrastructure
) -> None:
    event = an_event()
    async with run_gateway("all", kafka=NOWHERE, redis_url=f"redis://{NOWHERE}/0") as gateway:
        assert (await gateway.webhook(event)).status_code == 200
        assert await gateway.rows("SELECT published_at FROM outbox") == [{"published_at": None}]
    async with run_gateway("worker"):
        key = event["data"]["object"]["customer"]
        (published_event,) = await published(infrastructure.kafka, STRIPE_EVENTS, key=key, count=1)
    assert published_event.data["body"] == event


async def test_a_webhook_that_cannot_be_kept_is_a_503_and_taken_when_it_comes_again(
    run_gateway: RunGateway, service_pool: Any
) -> None:
    url = (await service_pool.database("gateway")).app_url
    event = an_event()
    async with Proxy(url, default_port=5432) as database, run_gateway(database_url=database.url) as gateway:
        await database.cut()
        before = counted("not_stored")
        answer = await gateway.webhook(event)
        assert (answer.status_code, answer.json()["code"]) == (503, "PAY014")
        assert answer.headers["retry-after"] == "1"
        assert counted("not_stored") == before + 1
        await database.mend()
        assert (await gateway.webhook(event)).status_code == 200
        assert len(await kept(gateway)) == 1


async def test_other_traffic_cannot_starve_webhooks(run_gateway: RunGateway) -> None:
    async with run_gateway(pool_size=2) as gateway, AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(gateway.pool.connection())
        async with asyncio.timeout(10):
            assert (await gateway.webhook(an_event())).status_code == 200


@pytest.mark.parametrize("statement", ["UPDATE stripe_event SET type = ''", "DELETE FROM stripe_event"])
async def test_the_gateway_itself_cannot_change_what_stripe_said(gateway: Gateway, statement: str) -> None:
    await gateway.webhook(an_event())
    async with gateway.pool.connection() as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)
