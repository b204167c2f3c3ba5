"""Stripe's answer is lost: nothing is guessed, nothing is done twice, and everything is resolved from Stripe."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from stripe import StripeClient

from libs.chassis.errors import UnavailableError
from libs.chassis.service_client import deadline
from libs.contracts import ids
from libs.contracts.http.payments_v1 import Buyer
from services.payments.clients.stripe import Stripe
from services.payments.operations.resolving import PATIENCE, resolve_purchases
from tests.integration.payments.shop import Object, Shop, a_buyer, usd
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY, running_sandbox, stripe_client

HANGS_S = 0.6  # longer than the shop's client waits
PAYMENTS = "/v1/payment_intents"
PAGES = "/v1/checkout/sessions"
CUSTOMERS = "/v1/customers"
REFUNDS = "/v1/refunds"
KINDS = [
    "hang_before", "reset_before", "500_before", "429", "409", "hang_after", "reset_after", "500_after",
]  # fmt: skip


def fault(kind: str, path: str, *, count: int = 1) -> Object:
    return {"kind": kind, "method": "POST", "path": path, "seconds": HANGS_S, "count": count}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [CUSTOMERS, PAYMENTS])
async def test_a_retry_after_a_lost_answer_makes_no_second_payment(shop: Shop, kind: str, path: str) -> None:
    buyer = a_buyer()
    await shop.faults(fault(kind, path))
    with pytest.raises(UnavailableError):
        await shop.start(buyer, key="k")
    assert await shop.states() == ["created" if kind == "429" else "unknown"]
    purchase = await shop.start(buyer, key="k")
    assert (purchase.state, purchase.client_secret is not None) == ("created", True)
    [payment] = await shop.at_stripe(buyer)
    assert payment["id"] == await shop.payment_intent(purchase)
    assert await shop.pay(purchase) == "succeeded"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_retry_after_a_lost_answer_makes_no_second_page(shop: Shop, dashboard: StripeClient, kind: str) -> None:
    buyer = a_buyer()
    await shop.faults(fault(kind, PAGES))
    with pytest.raises(UnavailableError):
        await shop.start_checkout(buyer, key="k")
    purchase = await shop.start_checkout(buyer, key="k")
    assert purchase.checkout_url is not None
    pages = await dashboard.v1.checkout.sessions.list_async({"limit": 100})
    ours = [page.url for page in pages.data if page.client_reference_id == ids.show("purchase", purchase.id)]  # type: ignore[arg-type] # it has one
    assert ours == [purchase.checkout_url]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_janitor_resolves_what_nobody_retries(shop: Shop, kind: str) -> None:
    buyer = a_buyer()
    await shop.faults(fault(kind, PAYMENTS))
    with pytest.raises(UnavailableError):
        await shop.start(buyer, key="k")
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 0  # it may still be in hand
    shop.travel(PATIENCE)
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 1
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 0
    assert await shop.states() == ["created"]
    assert len(await shop.at_stripe(buyer)) == 1
    purchase = await shop.start(buyer, key="k")
    assert purchase.client_secret is not None


async def test_while_stripe_is_away_a_purchase_stays_unknown_and_is_tried_again(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.faults(fault("reset_before", "/v1/*", count=3))
    for passed in range(1, 4):
        with pytest.raises(UnavailableError) as unknown:
            await shop.start(buyer, key="k")
        assert str(unknown.value.facts.get("purchase", "pur_")).startswith("pur_")
        shop.travel(PATIENCE * passed)
    assert await shop.states() == ["unknown"]
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 1
    assert await shop.states() == ["created"]
    assert len(await shop.at_stripe(buyer)) == 1


async def test_the_callers_deadline_ends_the_wait(shop: Shop) -> None:
    await shop.faults(fault("hang_after", PAYMENTS))
    token = deadline.set(asyncio.get_running_loop().time() + 0.2)
    try:
        with pytest.raises(UnavailableError):
            await shop.start(a_buyer(), key="k")
    finally:
        deadline.reset(token)
    assert await shop.states() == ["unknown"]


async def test_a_payment_made_and_paid_behind_a_lost_answer_is_settled_by_its_event(
    shop: Shop, dashboard: StripeClient
) -> None:
    buyer = a_buyer()
    await shop.faults(fault("reset_after", PAYMENTS))
    with pytest.raises(UnavailableError):
        await shop.start(buyer, key="k")
    [payment] = await shop.at_stripe(buyer)
    paying = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/paid"}
    await dashboard.v1.payment_intents.confirm_async(payment["id"], paying)  # type: ignore[arg-type] # a literal
    [purchase] = await shop.listed(buyer)
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        await shop.tell(event)
    assert len(await shop.successes(purchase)) == 1
    assert (await shop.start(buyer, key="k")).state == "succeeded"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_answer_never_refunds_twice(shop: Shop, kind: str) -> None:
    purchase = await shop.paid(pack="starter")
    await shop.faults(fault(kind, REFUNDS))
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, 400, key="k")
    shop.travel(PATIENCE)
    assert await shop.resolve_refunds() == 1
    for event in await shop.events(purchase, "refund.created"):
        await shop.tell(event)
    refund = await shop.refund(purchase, 400, key="k")
    assert (refund.state, refund.amount) == ("succeeded", usd(400))
    assert [event.refunded for event in await shop.refunded(purchase)] == [usd(400)]
    books = (await shop.sandbox.get("books"))["refunds"]
    intent = await shop.payment_intent(purchase)
    assert [one["amount"] for one in books if one["payment_intent"] == intent] == [400]


async def test_a_refund_of_unknown_outcome_keeps_its_amount_reserved(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    await shop.faults(fault("reset_after", REFUNDS))
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, 600, key="k")
    assert (await shop.show(purchase)).refunded == usd(0)
    assert (await shop.refund(purchase)).amount == usd(399)
    assert (await shop.refund(purchase, 600, key="k")).state == "succeeded"
    assert (await shop.show(purchase)).state == "refunded"


@pytest.fixture
async def travelling(shop: Shop, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop whose clock moves together with its own sandbox's."""
    file = tmp_path / "clock"
    async with (
        running_sandbox(clock_offset_file=file) as sandbox,
        stripe_client(sandbox.url, key=PUBLISHABLE_KEY) as browser,
    ):
        client = Stripe(KEY, api_base=sandbox.url, timeout_seconds=0.5, retries=0)
        yield replace(shop, stripe=client, sandbox=sandbox, browser=browser, clock_file=file)
        await client.stop()


async def travel(shop: Shop, by: timedelta) -> None:
    """Move the shop's clock and the sandbox's."""
    shop.travel(by)
    while (await shop.sandbox.get("health"))["now"] < shop.clock.now().timestamp() - 5:
        pass


async def unknown(shop: Shop, kind: str) -> Buyer:
    buyer = a_buyer()
    await shop.faults(fault(kind, PAYMENTS))
    with pytest.raises(UnavailableError):
        await shop.start(buyer, key="k")
    return buyer


async def test_when_stripe_has_forgotten_the_key_a_payment_is_found_by_its_metadata(travelling: Shop) -> None:
    buyer = await unknown(travelling, "reset_after")
    await travel(travelling, timedelta(hours=25))
    assert await resolve_purchases(travelling.pool, travelling.stripe, clock=travelling.clock) == 1
    assert await travelling.states() == ["created"]
    [payment] = await travelling.at_stripe(buyer)
    assert (await travelling.start(buyer, key="k")).client_secret is not None
    assert len(await travelling.at_stripe(buyer)) == 1
    assert payment["status"] == "requires_payment_method"


async def test_when_stripe_has_forgotten_the_key_and_never_had_the_payment_none_is_made(travelling: Shop) -> None:
    buyer = await unknown(travelling, "reset_before")
    await travel(travelling, timedelta(hours=23, minutes=30))
    with pytest.raises(UnavailableError):  # a call of ours may still be on its way
        await travelling.start(buyer, key="k")
    await travel(travelling, timedelta(hours=25))
    assert await resolve_purchases(travelling.pool, travelling.stripe, clock=travelling.clock) == 1
    assert await travelling.states() == ["canceled"]
    assert (await travelling.start(buyer, key="k")).state == "canceled"
    assert await travelling.at_stripe(buyer) == []


async def test_a_refund_whose_key_is_forgotten_is_found_or_has_failed(travelling: Shop) -> None:
    lost, kept = await travelling.paid(pack="starter"), await travelling.paid(pack="starter")
    for purchase, kind in ((lost, "reset_before"), (kept, "reset_after")):
        await travelling.faults(fault(kind, REFUNDS))
        with pytest.raises(UnavailableError):
            await travelling.refund(purchase, 100, key=kind)
    await travel(travelling, timedelta(hours=25))
    assert await travelling.resolve_refunds() == 2
    assert (await travelling.show(lost)).refunded == usd(0)
    assert (await travelling.show(kept)).refunded == usd(100)
    assert (await travelling.refund(lost, 999)).state == "succeeded"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_cancelling_ends_though_stripes_answer_is_lost(shop: Shop, kind: str, method: str) -> None:
    purchase = await (shop.start() if method == "payment_intent" else shop.start_checkout())
    await shop.faults(fault(kind, "/v1/payment_intents/*/cancel"), fault(kind, "/v1/checkout/sessions/*/expire"))
    with pytest.raises(UnavailableError):
        await shop.cancel(purchase)
    assert (await shop.cancel(purchase)).state == "canceled"
