"""The service as a process: asked over HTTP by other services, told by Kafka, killed at its worst moment."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.keys import make_keys
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from libs.chassis.broker.producer import Message, Producer
from libs.chassis.tokens import signer
from libs.contracts import ids
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import PaymentSucceeded, StripeEventReceived
from libs.contracts.http.payments_v1 import Buyer, Packs, Purchase, Refund
from libs.contracts.topics import PAYMENTS_EVENTS
from tests.integration.payments.shop import CATALOGUE_FILE, Object, Shop, a_buyer, usd
from tests.support.databases import ServicePool
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY

PROJECT = Path(__file__).parents[3]
SHORTEST_SESSION_MS = 6000  # of a Kafka with its own defaults


@dataclass
class Service:
    """A process of the service, what speaks to it, and a shop on the same database."""

    process: Process
    http: httpx2.AsyncClient
    producer: Producer
    kafka: str
    shop: Shop

    async def start(self, *, fail_point: str = "") -> None:
        """Start, to die at a point if one is named."""
        self.process.env = {**self.process.env, "SCRIP_FAIL_POINT": fail_point}
        await self.process.start()

    async def dies(self) -> None:
        """Wait for the death that was arranged."""
        assert await self.process.ended() == -signal.SIGKILL

    async def buy(self, buyer: Buyer, *, key: str | None = "k", **order: Any) -> httpx2.Response:
        """Ask for a purchase, of the pro pack if nothing else is said."""
        body = {"buyer": buyer.model_dump(mode="json"), "order": order or {"pack": "pro"}}
        keys = {} if key is None else {"Idempotency-Key": key}
        return await self.http.post("/purchases", json=body, headers={"Scrip-Caller": "user:ada", **keys})

    async def change(
        self, purchase: Purchase, verb: str, *, account: str | None = None, key: str = "k"
    ) -> httpx2.Response:
        """Ask for something to be done to a purchase, on its account's behalf."""
        seen = purchase.model_dump(mode="json")
        return await self.http.post(
            f"/purchases/{seen['id']}/{verb}",
            params={"account": account or seen["account"]},
            json={},
            headers={"Scrip-Caller": "staff:ada", "Idempotency-Key": key},
        )

    async def tell(self, *events: Object) -> None:
        """Hand Stripe's events on, as the gateway does."""
        told = [StripeEventReceived(object_id=event["data"]["object"]["id"], body=event) for event in events]
        envelopes = [event.envelope(at=self.shop.clock.now()) for event in told]
        await self.producer.publish(
            (StripeEventReceived.topic.name, Message(str(one.subject), one.encode())) for one in envelopes
        )

    async def success(self, purchase: Purchase) -> PaymentSucceeded:
        """Wait until Kafka tells that the purchase is paid."""
        consumer = AIOKafkaConsumer(PAYMENTS_EVENTS.name, bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async for record in consumer:
                envelope = CloudEvent.decode(record.value)
                if envelope.type == PaymentSucceeded.type and envelope.subject == ids.show("account", purchase.account):
                    return PaymentSucceeded.of(envelope)
        finally:
            await consumer.stop()
        raise AssertionError("the topic ended")

    async def listed(self, account: dict[str, str]) -> list[Object]:
        """An account's purchases, as soon as their card is known: Stripe tells it by another event than the payment."""
        async with asyncio.timeout(20):
            while True:
                purchases: list[Object] = (await self.http.get("/purchases", params=account)).json()["data"]
                if all(purchase["card"] for purchase in purchases):
                    return purchases
                await asyncio.sleep(0.05)


@pytest.fixture
async def service(
    infrastructure: Infrastructure, service_pool: ServicePool, shop: Shop, tmp_path: Path
) -> AsyncIterator[Service]:
    (port,) = free_ports(1)
    keys = make_keys(tmp_path / "keys", ["payments", "gateway"])
    environment = {
        "SCRIP_PAYMENTS_DATABASE_URL": service_pool.urls("payments").app_url,
        "SCRIP_PAYMENTS_PORT": str(port),
        "SCRIP_PAYMENTS_RETURN_ORIGINS": "https://shop.example, myapp://",
        "SCRIP_SERVICE_KEYS_FILE": str(keys.public),
        "SCRIP_KAFKA": infrastructure.kafka,
        "SCRIP_KAFKA_SESSION_TIMEOUT_MS": str(SHORTEST_SESSION_MS),
        "SCRIP_CATALOGUE": str(CATALOGUE_FILE),
        "SCRIP_CREDITS_URL": shop.bank.url,
        "SCRIP_PAYMENTS_SERVICE_KEY_FILE": str(shop.bank.key),
        "SCRIP_STRIPE_API_BASE": shop.sandbox.url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
    }
    process = Process(
        "payments",
        [sys.executable, "-m", "services.payments", "all"],
        home=tmp_path,
        ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        env=environment,
        cwd=PROJECT,
        grace_s=25,
    )
    token = signer("gateway", keys.private("gateway")).token("payments")
    producer = Producer(infrastructure.kafka, client_id="test")
    address = f"http://127.0.0.1:{port}/internal/v1"
    async with httpx2.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        yield Service(process, http, producer, infrastructure.kafka, shop)
    await process.stop()
    await producer.stop()


def problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_purchase_is_bought_paid_told_and_refunded(service: Service) -> None:
    await service.start()
    buyer = a_buyer()
    packs = Packs.model_validate_json((await service.http.get("/packs")).content)
    assert [pack.id for pack in packs.data] == ["starter", "pro", "business", "enterprise"]
    assert packs.custom_amount is not None
    assert (packs.custom_amount.per_credit, packs.custom_amount.minimum) == ([usd(20)], 5_000_000)
    config = (await service.http.get("/payment-config")).json()
    assert config == {"publishable_key": PUBLISHABLE_KEY, "currencies": ["usd"]}

    answer = await service.buy(buyer)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, None)
    again = await service.buy(buyer)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json() == answer.json()
    purchase = Purchase.model_validate_json(answer.content)

    await service.shop.pay(purchase)
    events = await service.shop.events(purchase)
    await service.tell(*events, *events)
    told = await service.success(purchase)
    assert told.account == buyer.account
    assert len(await service.shop.successes(purchase)) == 1

    account = {"account": ids.show("account", buyer.account)}
    listed = await service.listed(account)
    assert [(one["state"], one["quote"]["price"]["amount_minor"]) for one in listed] == [("succeeded", 2499)]
    assert listed[0]["card"] == {"brand": "visa", "last4": "4242"}
    loyalty = (await service.http.get("/loyalty", params=account)).json()
    assert loyalty == {"spend": [{"amount_minor": 2499, "currency": "usd"}], "tier": None, "next": None}
    refund = Refund.model_validate_json((await service.change(purchase, "refunds")).content)
    assert (refund.state, refund.amount.amount_minor) == ("succeeded", 2499)
    detail = (await service.http.get(f"/purchases/{listed[0]['id']}", params=account)).json()
    assert (detail["state"], detail["refunded"]["amount_minor"]) == ("refunded", 2499)


async def test_what_cannot_be_is_a_problem_with_its_code(service: Service) -> None:
    await service.start()
    buyer = a_buyer()
    purchase = Purchase.model_validate_json((await service.buy(buyer)).content)
    strangers = ids.show("account", ids.new_id())
    assert problem(await service.buy(buyer, pack="starter")) == (422, "PAY009")
    assert problem(await service.buy(buyer, key=None)) == (400, "PAY008")
    assert problem(await service.buy(buyer, key="2", pack="giant")) == (422, "PAY017")
    assert problem(await service.buy(buyer, key="2", amount_credits="-1")) == (422, "PAY007")
    assert problem(await service.buy(buyer, key="2", amount_credits="1")) == (422, "PAY006")
    assert problem(await service.buy(buyer, key="2", pack="pro", currency="eur")) == (422, "PAY030")
    evil = {"pack": "pro", "method": "checkout", "return_url": "https://evil.example"}
    assert problem(await service.buy(buyer, key="2", **evil)) == (422, "PAY020")
    assert problem(await service.change(purchase, "refunds")) == (409, "PAY018")
    for verb in ("confirm", "cancel", "refunds", "refund-preview"):
        assert problem(await service.change(purchase, verb, account=strangers)) == (404, "PAY010")
    assert problem(await service.http.get("/purchases/pur_1", params={"account": strangers})) == (404, "PAY010")
    for header in ({"Authorization": ""}, {"Authorization": "Bearer x"}):
        assert problem(await service.http.get("/packs", headers=header)) == (401, "PAY011")
    quoted = await service.buy(buyer, key=None, pack="pro", quote_only=True)
    assert (quoted.status_code, quoted.json()["state"], quoted.json()["id"]) == (200, "quoted", None)
    app = await service.buy(buyer, key="3", pack="pro", method="checkout", return_url="myapp://paid")
    assert app.status_code == 201
    assert problem(await service.change(purchase, "refunds", key="")) == (400, "PAY008")


async def test_promo_codes_are_put_listed_used_and_retired(service: Service) -> None:
    await service.start()
    terms = {"gives": {"kind": "percent", "percent": 10}, "total_limit": 1, "packs": ["pro"]}
    put = await service.http.put("/promo-codes/spring-10", json=terms)
    assert (put.status_code, put.json()["code"], put.json()["redeemed"]) == (200, "SPRING-10", 0)
    assert (await service.http.put("/promo-codes/SPRING-10", json=terms)).json() == put.json()
    bought = await service.buy(a_buyer(), pack="pro", promo_code="spring-10")
    assert (bought.status_code, bought.json()["quote"]["price"]["amount_minor"]) == (201, 2249)
    assert problem(await service.buy(a_buyer(), key="2", pack="pro", promo_code="SPRING-10")) == (422, "PAY003")
    assert problem(await service.buy(a_buyer(), key=None, pack="pro", quote_only=True, promo_code="NO-SUCH")) == (
        422, "PAY003",
    )  # fmt: skip
    retired = await service.http.delete("/promo-codes/spring-10")
    listed = (await service.http.get("/promo-codes", params={"limit": 5})).json()
    assert [(one["code"], one["active"], one["redeemed"]) for one in listed["data"]] == [("SPRING-10", False, 1)]
    assert (retired.json(), listed["next_cursor"]) == (listed["data"][0], None)


async def test_promo_codes_that_make_no_sense_change_nothing(service: Service) -> None:
    await service.start()
    right = {"gives": {"kind": "bonus_credits", "credits": "10"}}
    wrongs = [
        {},
        {"gives": {"kind": "percent", "percent": 100}},
        {"gives": {"kind": "bonus_credits", "credits": 10}},
        {"gives": {"kind": "percent", "percent": "10"}},
        {**right, "total_limit": 0},
        {**right, "total_limit": 10**12},
        {**right, "redeemed": 0},
        {**right, "ends_at": "tomorrow"},
    ]
    for wrong in wrongs:
        assert problem(await service.http.put("/promo-codes/SPRING", json=wrong)) == (422, "PAY007"), wrong
    for code in ("AB", "SAVE 10", "A" * 41, "\u017fAVE"):
        assert problem(await service.http.put(f"/promo-codes/{code}", json=right)) == (422, "PAY007"), code
    assert problem(await service.http.delete("/promo-codes/SPRING")) == (404, "PAY010")
    assert (await service.http.get("/promo-codes")).json()["data"] == []
    assert problem(await service.http.get("/promo-codes", headers={"Authorization": ""})) == (401, "PAY011")


async def test_a_process_killed_while_settling_settles_once_when_it_is_back(service: Service) -> None:
    await service.start(fail_point="payments.settle.before_commit")
    purchase = Purchase.model_validate_json((await service.buy(a_buyer())).content)
    await service.shop.pay(purchase)
    events = await service.shop.events(purchase, "payment_intent.succeeded")
    await service.tell(*events, *events)
    await service.dies()
    assert await service.shop.successes(purchase) == []
    await service.start()
    await service.success(purchase)
    assert len(await service.shop.successes(purchase)) == 1


async def test_a_process_killed_after_stripe_answered_goes_on_with_the_same_payment(service: Service) -> None:
    buyer = a_buyer()
    await service.start(fail_point="payments.pay.before_commit")
    with pytest.raises(httpx2.TransportError):
        await service.buy(buyer)
    await service.dies()
    await service.start()
    answer = await service.buy(buyer)
    assert answer.status_code == 201
    [payment] = await service.shop.at_stripe(buyer)
    assert payment["id"] == await service.shop.payment_intent(Purchase.model_validate_json(answer.content))


async def test_settings_that_are_wrong_are_named_at_start(service: Service) -> None:
    service.process.env = {
        **service.process.env,
        "STRIPE_PUBLISHABLE_KEY": KEY,
        "SCRIP_PAYMENTS_RETURN_ORIGINS": "shop",
    }
    with pytest.raises(Exception, match="settings are missing or wrong") as failed:
        await service.start()
    assert "STRIPE_PUBLISHABLE_KEY" in str(failed.value)
    assert "SCRIP_PAYMENTS_RETURN_ORIGINS" in str(failed.value)
    assert KEY not in json.dumps(str(failed.value))


async def test_who_cannot_tell_other_services_apart_does_not_serve(service: Service) -> None:
    service.process.env = {n: v for n, v in service.process.env.items() if n != "SCRIP_SERVICE_KEYS_FILE"}
    with pytest.raises(Exception, match="cannot start: set SCRIP_SERVICE_KEYS_FILE"):
        await service.start()
