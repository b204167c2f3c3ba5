"""Disputes, inquiries and fraud warnings: what banks do to payments afterwards, and what it leaves of the books."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox, until


async def a_charge(client: stripe.StripeClient, token: str = "pm_card_visa", **more: Any) -> str:
    params: Any = {"amount": 1000, "currency": "usd", "payment_method": token, "confirm": True,
                   "return_url": "https://a.example", "capture_method": "automatic", **more}  # fmt: skip
    return str((await client.v1.payment_intents.create_async(params)).latest_charge)


async def the_dispute(client: stripe.StripeClient, charge: str) -> stripe.Dispute:
    """Wait for the one dispute of a charge."""

    async def opened() -> object:
        return (await client.v1.disputes.list_async({"charge": charge})).data

    await until(opened)
    [dispute] = (await client.v1.disputes.list_async({"charge": charge})).data
    return dispute


async def balance_of(client: stripe.StripeClient, *sources: str) -> int:
    """Say what some objects did to the balance in sum."""
    net = 0
    for source in sources:
        net += sum(each.net for each in (await client.v1.balance_transactions.list_async({"source": source})).data)
    return net


@pytest.mark.parametrize(
    ("token", "reason"),
    [("pm_card_createDispute", "fraudulent"), ("pm_card_createDisputeProductNotReceived", "product_not_received")],
)
async def test_a_card_can_be_one_whose_owner_disputes(
    client: stripe.StripeClient, receiver: Receiver, token: str, reason: str
) -> None:
    charge = await a_charge(client, token)
    dispute = await the_dispute(client, charge)
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 1000, reason)
    assert (dispute.is_charge_refundable, dispute.evidence_details.has_evidence) == (False, False)
    assert (await client.v1.charges.retrieve_async(charge)).disputed
    await receiver.until_about(dispute.id, "charge.dispute.created", "charge.dispute.funds_withdrawn")
    [entry] = dispute.balance_transactions
    assert (entry.amount, entry.fee, entry.net, entry.type) == (-1000, 1500, -2500, "adjustment")
    read = await client.v1.balance_transactions.retrieve_async(entry.id, {"expand": ["source.charge"]})
    assert isinstance(read.source, stripe.Dispute)
    assert isinstance(read.source.charge, stripe.Charge)


async def test_a_disputed_charge_cannot_be_refunded_too(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    charge = await a_charge(client)
    await sandbox.post(f"charges/{charge}/dispute", {"amount": 600})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await client.v1.refunds.create_async({"charge": charge, "amount": 401})
    await client.v1.refunds.create_async({"charge": charge, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": charge})
    assert refused.value.code == "charge_disputed"
    more = await sandbox.http.post(f"/sandbox/charges/{charge}/dispute", json={"amount": 1})
    assert more.status_code == 409


@pytest.mark.parametrize(("outcome", "net"), [("won", 941 - 1500), ("lost", 941 - 2500)])
async def test_a_dispute_ends_with_the_money_here_or_there_and_the_fee_gone(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, outcome: str, net: int
) -> None:
    charge = await a_charge(client, currency="cad")
    before = (await sandbox.get("books"))["totals"]["cad"]
    dispute = (await sandbox.post(f"charges/{charge}/dispute", {"reason": "duplicate"}))["id"]
    ended = await sandbox.post(f"disputes/{dispute}/close", {"outcome": outcome})
    assert ended["status"] == outcome
    told = ["charge.dispute.closed"] + ["charge.dispute.funds_reinstated"] * (outcome == "won")
    await receiver.until_about(dispute, *told)
    assert await balance_of(client, charge, dispute) == net
    after = (await sandbox.get("books"))["totals"]["cad"]
    change = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert change == {"dispute_fees": 1500, "net": -1500} | (
        {"disputed": 1000, "net": -2500} if outcome == "lost" else {}
    )
    again = await sandbox.http.post(f"/sandbox/disputes/{dispute}/close", json={"outcome": "won"})
    assert again.status_code == 409
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await client.v1.disputes.close_async(dispute)
    if outcome == "won":
        assert (await client.v1.refunds.create_async({"charge": charge})).amount == 1000


@pytest.mark.parametrize(("evidence", "outcome"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
async def test_evidence_decides_as_it_says(
    client: stripe.StripeClient, receiver: Receiver, evidence: str, outcome: str
) -> None:
    dispute = await the_dispute(client, await a_charge(client, "pm_card_createDispute"))
    staged = await client.v1.disputes.update_async(
        dispute.id, {"evidence": {"product_description": "50 credits"}, "submit": False, "metadata": {"case": "7"}}
    )
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    sent = await client.v1.disputes.update_async(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert sent.evidence.product_description == "50 credits"
    with pytest.raises(stripe.InvalidRequestError, match="This dispute is"):
        await client.v1.disputes.update_async(dispute.id, {"evidence": {"uncategorized_text": "and more"}})
    await receiver.until_about(dispute.id, "charge.dispute.updated", "charge.dispute.closed")
    assert (await client.v1.disputes.retrieve_async(dispute.id)).status == outcome


async def test_a_dispute_can_be_given_up(client: stripe.StripeClient, receiver: Receiver) -> None:
    dispute = await the_dispute(client, await a_charge(client, "pm_card_createDispute"))
    assert (await client.v1.disputes.close_async(dispute.id)).status == "lost"
    await receiver.until_about(dispute.id, "charge.dispute.closed")
    found = await client.v1.disputes.list_async({"payment_intent": str(dispute.payment_intent), "limit": 1})
    assert [each.id for each in found.data] == [dispute.id]


async def test_an_inquiry_takes_no_money_and_ends_with_a_refund(
    client: stripe.StripeClient, receiver: Receiver
) -> None:
    charge = await a_charge(client, "pm_card_createDisputeInquiry")
    dispute = await the_dispute(client, charge)
    assert (dispute.status, dispute.is_charge_refundable) == ("warning_needs_response", True)
    assert dispute.balance_transactions == []
    await client.v1.refunds.create_async({"charge": charge, "amount": 300})
    assert (await client.v1.disputes.retrieve_async(dispute.id)).status == "warning_needs_response"
    await client.v1.refunds.create_async({"charge": charge})
    assert (await client.v1.disputes.retrieve_async(dispute.id)).status == "warning_closed"
    await receiver.until_about(dispute.id, "charge.dispute.closed")
    assert "charge.dispute.funds_withdrawn" not in receiver.types_about(dispute.id)


async def test_an_inquiry_can_be_answered_and_only_closed(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    charge = await a_charge(client)
    inquiry = (await sandbox.post(f"charges/{charge}/dispute", {"inquiry": True}))["id"]
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.disputes.close_async(inquiry)
    sent = await client.v1.disputes.update_async(inquiry, {"evidence": {"customer_name": "Pat"}})
    assert sent.status == "warning_under_review"
    wrong = await sandbox.http.post(f"/sandbox/disputes/{inquiry}/close", json={"outcome": "won"})
    assert wrong.status_code == 409
    closed = await sandbox.post(f"disputes/{inquiry}/close", {"outcome": "warning_closed"})
    assert closed["status"] == "warning_closed"


@pytest.mark.parametrize("by_evidence", [True, False])
async def test_an_inquiry_can_become_a_dispute_and_what_was_refunded_meanwhile_fails(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver, by_evidence: bool
) -> None:
    charge = await a_charge(client)
    early = await client.v1.refunds.create_async({"charge": charge, "amount": 100})
    inquiry = (await sandbox.post(f"charges/{charge}/dispute", {"inquiry": True}))["id"]
    meanwhile = await client.v1.refunds.create_async({"charge": charge, "amount": 300})
    if by_evidence:
        insists: Any = {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
        assert (await client.v1.disputes.update_async(inquiry, insists)).status == "warning_under_review"
    else:
        await sandbox.post(f"disputes/{inquiry}/escalate", {})
    await receiver.until_about(inquiry, "charge.dispute.updated", "charge.dispute.funds_withdrawn")
    await receiver.until_about(meanwhile.id, "refund.failed")
    dispute = await client.v1.disputes.retrieve_async(inquiry)
    assert (dispute.status, dispute.amount, dispute.is_charge_refundable) == ("needs_response", 900, False)
    refunds = {each.id: each.status for each in (await client.v1.refunds.list_async({"charge": charge})).data}
    assert refunds[meanwhile.id] == "failed"
    assert await balance_of(client, charge, early.id, meanwhile.id, inquiry) == 1000 - 59 - 100 - 900 - 1500
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": charge})
    assert refused.value.code == "charge_disputed"
    again = await sandbox.http.post(f"/sandbox/disputes/{inquiry}/escalate")
    assert again.status_code == 409
    sent = await client.v1.disputes.update_async(inquiry, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert sent.status == "under_review"
    await receiver.until_about(inquiry, "charge.dispute.funds_reinstated")


async def test_an_issuer_warns_of_a_payment_until_it_is_too_late(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    charge = await a_charge(client, "pm_card_createIssuerFraudRecord")

    async def warned() -> object:
        return (await client.v1.radar.early_fraud_warnings.list_async({"charge": charge})).data

    await until(warned)
    [warning] = (await client.v1.radar.early_fraud_warnings.list_async({"charge": charge})).data
    assert (warning.actionable, warning.fraud_type) == (True, "misc")
    await receiver.until_about(warning.id, "radar.early_fraud_warning.created")
    await client.v1.refunds.create_async({"charge": charge})
    await receiver.until_about(warning.id, "radar.early_fraud_warning.updated")
    after = await client.v1.radar.early_fraud_warnings.retrieve_async(warning.id, {"expand": ["charge"]})
    assert isinstance(after.charge, stripe.Charge)
    assert (after.actionable, after.charge.refunded) == (False, True)
    another = await a_charge(client)
    raised = await sandbox.post(f"charges/{another}/fraud_warning", {"fraud_type": "made_with_stolen_card"})
    assert raised["actionable"]
    await sandbox.post(f"charges/{another}/dispute", {})
    assert not (await client.v1.radar.early_fraud_warnings.retrieve_async(raised["id"])).actionable
    names = [each["id"] for each in (await sandbox.get("books"))["early_fraud_warnings"]]
    assert {warning.id, raised["id"]} <= set(names)


async def test_only_what_was_paid_by_card_can_be_disputed(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    debit = await a_charge(client, "pm_usBankAccount_success", capture_method="automatic_async")
    for name in (debit, "ch_none"):
        for switch in ("dispute", "fraud_warning"):
            assert (await sandbox.http.post(f"/sandbox/charges/{name}/{switch}", json={})).status_code == 409


async def test_events_of_disputes_can_be_invented(sandbox: RunningSandbox) -> None:
    told = await sandbox.post("events", {"type": "charge.dispute.created", "object": {"charge": "ch_elsewhere"}})
    assert told["data"]["object"]["object"] == "dispute"
    foreign = {"charge": "ch_elsewhere", "payment_intent": "pi_elsewhere"}
    told = await sandbox.post("events", {"type": "radar.early_fraud_warning.created", "object": foreign})
    assert told["data"]["object"]["object"] == "radar.early_fraud_warning"
