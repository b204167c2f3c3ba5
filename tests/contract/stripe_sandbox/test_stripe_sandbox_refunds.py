"""Refunds and what they leave of a charge, its fees and the books."""

import asyncio
from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox


async def a_payment(client: stripe.StripeClient, amount: int = 1000, **more: Any) -> stripe.PaymentIntent:
    params: Any = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
                   "return_url": "https://a.example", **more}  # fmt: skip
    return await client.v1.payment_intents.create_async(params)


async def test_parts_add_up_and_never_exceed_the_charge(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_payment(client)
    first = await client.v1.refunds.create_async(
        {"payment_intent": intent.id, "amount": 300, "reason": "requested_by_customer", "metadata": {"refund": "r1"}}
    )
    assert (first.status, first.amount, first.reason) == ("succeeded", 300, "requested_by_customer")
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 701})
    for wrong in (0, -1):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": wrong})
    second = await client.v1.refunds.create_async({"charge": str(intent.latest_charge)})
    assert second.amount == 700
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    await receiver.until_about(first.id, "refund.created")
    await receiver.until(lambda: receiver.types_about(str(intent.latest_charge)).count("charge.refunded") == 2)
    totals = {each.event["data"]["object"]["amount_refunded"] for each in receiver.about(str(intent.latest_charge))}
    assert {300, 1000} <= totals
    charge = await client.v1.charges.retrieve_async(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (1000, True)
    assert charge.refunds is not None
    assert [each.id for each in charge.refunds.data] == [second.id, first.id]


async def test_concurrent_refunds_give_back_only_what_was_paid(client: stripe.StripeClient) -> None:
    intent = await a_payment(client)
    attempts = [client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 400}) for _ in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(each, stripe.Refund) for each in results) == 2


async def test_refunds_can_be_found_and_their_metadata_changed(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_payment(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    await client.v1.refunds.update_async(refund.id, {"metadata": {"note": "seen"}})
    found = await client.v1.refunds.list_async({"payment_intent": intent.id, "expand": ["data.charge"]})
    assert [(each.id, each.metadata and each.metadata["note"]) for each in found.data] == [(refund.id, "seen")]
    assert (await client.v1.refunds.retrieve_async(refund.id)).amount == 1000
    await receiver.until_about(refund.id, "refund.updated")


async def test_what_was_not_paid_cannot_be_refunded(client: stripe.StripeClient) -> None:
    unpaid = await client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    for wrong in ({"payment_intent": unpaid.id}, {"charge": "ch_none"}, {}, {"charge": "a", "payment_intent": "b"}):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.refunds.create_async(wrong)  # type: ignore[arg-type]


async def test_balance_transactions_carry_amounts_and_fees(client: stripe.StripeClient) -> None:
    intent = await a_payment(client, 1999, capture_method="automatic")
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    [paid] = (await client.v1.balance_transactions.list_async({"source": str(intent.latest_charge)})).data
    assert (paid.amount, paid.fee, paid.net, paid.type) == (1999, 88, 1911, "charge")
    assert sum(detail.amount for detail in paid.fee_details) == paid.fee
    back = await client.v1.balance_transactions.retrieve_async(str(refund.balance_transaction))
    assert (back.amount, back.fee, back.net, back.type, back.source) == (-500, 0, -500, "refund", refund.id)
    only = await client.v1.balance_transactions.list_async({"type": "refund", "currency": "usd"})
    assert {each.type for each in only.data} == {"refund"}


async def test_the_books_say_what_happened(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    nothing = dict.fromkeys(("payments", "gross", "refunded", "disputed", "fees", "dispute_fees"), 0)
    before = (await sandbox.get("books"))["totals"].get("gbp", nothing)
    intent = await a_payment(client, 2000, currency="gbp", capture_method="automatic", metadata={"purchase": "books"})
    await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    books = await sandbox.get("books")
    [entry] = [each for each in books["payment_intents"] if each["id"] == intent.id]
    assert (entry["status"], entry["amount"], entry["amount_refunded"], entry["fee"]) == ("succeeded", 2000, 500, 88)
    assert entry["metadata"] == {"purchase": "books"}
    after = books["totals"]["gbp"]
    assert {name: after[name] - before[name] for name in before if name != "net"} == {
        "payments": 1, "gross": 2000, "refunded": 500, "disputed": 0, "fees": 88, "dispute_fees": 0,
    }  # fmt: skip
    assert intent.id in (await sandbox.http.get("/")).text
    assert "20.00 gbp" in (await sandbox.http.get(f"/receipts/{intent.latest_charge}")).text


async def test_a_refund_can_fail_after_it_succeeded(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    intent = await a_payment(client, payment_method="pm_card_refundFail", currency="aud", capture_method="automatic")
    before = (await sandbox.get("books"))["totals"]["aud"]
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 400})
    assert refund.status == "succeeded"
    await receiver.until_about(refund.id, "refund.failed", "refund.updated", "charge.refund.updated")
    after = await client.v1.refunds.retrieve_async(refund.id, {"expand": ["failure_balance_transaction", "charge"]})
    assert (after.status, after.failure_reason) == ("failed", "expired_or_canceled_card")
    assert isinstance(after.failure_balance_transaction, stripe.BalanceTransaction)
    assert (after.failure_balance_transaction.net, after.failure_balance_transaction.type) == (400, "refund_failure")
    assert isinstance(after.charge, stripe.Charge)
    assert (after.charge.amount_refunded, after.charge.refunded) == (0, False)
    assert (await sandbox.get("books"))["totals"]["aud"] == before


async def test_a_refund_can_be_pending_before_it_succeeds(client: stripe.StripeClient, receiver: Receiver) -> None:
    intent = await a_payment(client, payment_method="pm_card_pendingRefund")
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "pending"
    await receiver.until_about(refund.id, "refund.updated")
    assert (await client.v1.refunds.retrieve_async(refund.id)).status == "succeeded"


async def test_any_refund_can_be_made_to_fail_once_and_then_be_tried_again(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    intent = await a_payment(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    failed = await sandbox.post(f"refunds/{refund.id}/fail", {"failure_reason": "declined"})
    assert (failed["status"], failed["failure_reason"]) == ("failed", "declined")
    assert (await sandbox.http.post(f"/sandbox/refunds/{refund.id}/fail", json={})).status_code == 409
    assert (await client.v1.refunds.create_async({"payment_intent": intent.id})).amount == 1000


async def test_no_card_refund_can_be_canceled_by_call(client: stripe.StripeClient) -> None:
    intent = await a_payment(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError, match="requires_action"):
        await client.v1.refunds.cancel_async(refund.id)


async def test_the_books_and_the_balance_agree_whatever_happened(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    charges = [
        str((await a_payment(client, currency="nzd", capture_method="automatic")).latest_charge) for _ in range(4)
    ]
    await client.v1.refunds.create_async({"charge": charges[0], "amount": 250})
    failing = await client.v1.refunds.create_async({"charge": charges[1]})
    await sandbox.post(f"refunds/{failing.id}/fail", {})
    for charge, outcome in zip(charges[2:], ("won", "lost"), strict=True):
        dispute = await sandbox.post(f"charges/{charge}/dispute", {"amount": 700})
        await sandbox.post(f"disputes/{dispute['id']}/close", {"outcome": outcome})
    entries = client.v1.balance_transactions.list_async({"currency": "nzd", "limit": 100})
    net = sum([each.net async for each in (await entries).auto_paging_iter()])
    total = (await sandbox.get("books"))["totals"]["nzd"]
    assert total["net"] == net == 4000 - 4 * 59 - 250 - 2 * 1500 - 700
    assert total["gross"] - total["refunded"] - total["disputed"] == 4000 - 250 - 700
