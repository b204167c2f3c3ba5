"""What outlives the sandbox's process, and how its time can be moved."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.stripe_checks import Audit
from tests.support.stripe_sandbox import (
    SECRET,
    Receiver,
    RunningSandbox,
    receiving,
    running_sandbox,
    stripe_client,
    until,
)

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


async def test_a_dispute_that_nobody_answers_is_lost_even_if_the_process_died_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset, data = tmp_path / "offset", tmp_path / "sandbox.db"
    monkeypatch.setenv("SCRIP_CLOCK_OFFSET_FILE", str(offset))
    async with running_sandbox(data=data) as sandbox, stripe_client(sandbox.url) as client:
        paid = await client.v1.payment_intents.create_async(PAID)
        disputes = [
            (await sandbox.post(f"charges/{paid.latest_charge}/dispute", {"amount": 500, "inquiry": inquiry}))["id"]
            for inquiry in (False, True)
        ]
        await sandbox.kill()
    await move(offset, str(9 * 86_400 + 60))
    async with running_sandbox(data=data) as sandbox, stripe_client(sandbox.url) as client:

        async def ended() -> bool:
            found = [await client.v1.disputes.retrieve_async(name) for name in disputes]
            return [each.status for each in found] == ["lost", "warning_closed"]

        await until(ended)
        assert (await client.v1.disputes.retrieve_async(disputes[0])).evidence_details.past_due
        assert (await sandbox.get("books"))["totals"]["usd"]["disputed"] == 500
        assert await Audit(sandbox.url).problems() == []


async def test_an_inquiry_that_becomes_a_dispute_has_a_deadline_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = tmp_path / "offset"
    monkeypatch.setenv("SCRIP_CLOCK_OFFSET_FILE", str(offset))
    async with running_sandbox() as sandbox, stripe_client(sandbox.url) as client:
        paid = await client.v1.payment_intents.create_async(PAID)
        dispute = (await sandbox.post(f"charges/{paid.latest_charge}/dispute", {"inquiry": True}))["id"]
        await move(offset, str(8 * 86_400))
        await until(lambda: has_come(sandbox, paid.created + 8 * 86_400))
        await sandbox.post(f"disputes/{dispute}/escalate", {})
        await move(offset, str(10 * 86_400))
        await until(lambda: has_come(sandbox, paid.created + 10 * 86_400))
        await asyncio.sleep(0.3)
        assert (await client.v1.disputes.retrieve_async(dispute)).status == "needs_response"
        await move(offset, str(18 * 86_400))

        async def lost() -> bool:
            return (await client.v1.disputes.retrieve_async(dispute)).status == "lost"

        await until(lost)


async def has_come(sandbox: RunningSandbox, instant: int) -> bool:
    now: int = (await sandbox.get("health"))["now"]
    return now >= instant


async def test_a_webhook_can_be_days_late_by_the_clock_and_outlive_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset, data = tmp_path / "offset", tmp_path / "sandbox.db"
    monkeypatch.setenv("SCRIP_CLOCK_OFFSET_FILE", str(offset))
    async with receiving() as receiver:
        flags: dict[str, object] = {"data": data, "webhook_url": receiver.url, "webhook_secret": SECRET}
        async with running_sandbox(**flags) as sandbox, stripe_client(sandbox.url) as client:
            await sandbox.put("webhooks", {"delay_s": 5 * 86_400})
            late = (await client.v1.customers.create_async({})).id
            await sandbox.put("webhooks", {})
            prompt = (await client.v1.customers.create_async({})).id
            await receiver.until_about(prompt, "customer.created")
            await sandbox.kill()
        async with running_sandbox(**flags):
            await move(offset, str(4 * 86_400))
            await asyncio.sleep(0.5)
            assert receiver.about(late) == []
            await move(offset, str(5 * 86_400 + 60))
            await receiver.until_about(late, "customer.created")
            signed_at = int(receiver.about(late)[0].signature.split(",")[0].removeprefix("t="))
            assert signed_at - receiver.about(late)[0].event["created"] >= 5 * 86_400


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
