"""What outlives the sandbox's process, and how its time can be moved."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import SECRET, Receiver, receiving, running_sandbox, stripe_client, until

PAID: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
             "return_url": "https://a.example"}  # fmt: skip


async def test_nothing_that_was_answered_is_lost_by_a_sigkill(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.db"
    answered: list[str] = []

    async def pay(client: stripe.StripeClient) -> None:
        while True:
            answered.append((await client.v1.payment_intents.create_async(PAID)).id)

    async with running_sandbox(data=data) as sandbox, stripe_client(sandbox.url, retries=0) as client:
        payers = [asyncio.create_task(pay(client)) for _ in range(4)]
        await until(lambda: enough(answered))
        await sandbox.kill()
        assert all(
            isinstance(each, stripe.APIConnectionError)
            for each in await asyncio.gather(*payers, return_exceptions=True)
        )
    async with running_sandbox(data=data) as sandbox:
        books = {each["id"]: each["status"] for each in (await sandbox.get("books"))["payment_intents"]}
        assert {books[name] for name in answered} == {"succeeded"}


async def test_keys_refunds_and_undelivered_webhooks_outlive_the_process(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.db"
    key: Any = {"idempotency_key": "key-across"}
    async with receiving() as receiver:
        flags: dict[str, object] = {"data": data, "webhook_url": receiver.url, "webhook_secret": SECRET}
        async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
            await sandbox.put("webhooks", {"paused": True})
            first = await client.v1.payment_intents.create_async(PAID, key)
            await client.v1.refunds.create_async({"payment_intent": first.id, "amount": 400})
            await sandbox.kill()
        assert receiver.received == []
        async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
            again = await client.v1.payment_intents.create_async(PAID, key)
            assert again.id == first.id
            await receiver.until_about(first.id, "payment_intent.succeeded")
            await receiver.until_about(str(first.latest_charge), "charge.refunded", "charge.updated")
            rest = await client.v1.refunds.create_async({"payment_intent": first.id})
            assert rest.amount == 600


async def test_two_sandboxes_cannot_share_a_journal(tmp_path: Path) -> None:
    async with running_sandbox(data=tmp_path / "sandbox.db"):
        with pytest.raises(AssertionError, match="and not where it is"):
            async with running_sandbox(data=tmp_path / "sandbox.db"):
                pass


async def test_webhooks_are_not_sent_unsigned() -> None:
    with pytest.raises(AssertionError, match="and not where it is"):
        async with running_sandbox(webhook_url="http://127.0.0.1:9/"):
            pass


async def test_time_moves_with_the_offset_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offset = tmp_path / "offset"
    monkeypatch.setenv("SCRIP_CLOCK_OFFSET_FILE", str(offset))
    async with receiving() as receiver:
        flags: dict[str, object] = {"webhook_url": receiver.url, "webhook_secret": SECRET}
        async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
            line: Any = {"price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "50"}}}
            sold: Any = {"mode": "payment", "line_items": [{**line, "quantity": 1}], "success_url": "https://a.example"}
            session = await client.v1.checkout.sessions.create_async(sold)
            customer = await client.v1.customers.create_async({}, {"idempotency_key": "key-of-a-day"})
            paid = await client.v1.payment_intents.create_async(PAID | {"capture_method": "automatic"})
            await move(offset, "90000.5")
            await _until_expired(client, receiver, session.id)
            later = await client.v1.customers.create_async({}, {"idempotency_key": "key-of-a-day"})
            assert later.id != customer.id
            assert 90_000 <= later.created - customer.created < 90_100
            assert not await is_available(client, paid)
            await move(offset, str(3 * 86_400))
            await until(lambda: is_available(client, paid))
            await move(offset, str(40 * 86_400))
            await until(lambda: has_forgotten(client, "customer.created"))


async def move(offset: Path, seconds: str) -> None:
    """Replace the file at once, as one who moves a stack's time does."""
    fresh = offset.with_suffix(".new")
    fresh.write_text(seconds)
    fresh.replace(offset)


async def enough(answered: list[str]) -> bool:
    return len(answered) >= 40


async def is_available(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> bool:
    page = await client.v1.balance_transactions.list_async({"source": str(intent.latest_charge)})
    return page.data[0].status == "available"


async def has_forgotten(client: stripe.StripeClient, event_type: str) -> bool:
    return not (await client.v1.events.list_async({"type": event_type})).data


async def _until_expired(client: stripe.StripeClient, receiver: Receiver, session: str) -> None:
    await receiver.until_about(session, "checkout.session.expired")
    assert (await client.v1.checkout.sessions.retrieve_async(session)).status == "expired"
