"""Disputes: a bank takes a payment back until somebody has the better evidence; inquiries only ask.

needs_response --evidence--> under_review --the bank--> won | lost
needs_response --closed, or no evidence in time--> lost
warning_needs_response --evidence--> warning_under_review --> warning_closed
warning_needs_response --the charge is refunded, or no evidence in time--> warning_closed
any inquiry --the bank insists--> needs_response
"""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from deploy.stripe_sandbox import balance, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.fraud_warnings import no_longer_actionable
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import ClearableMetadata, Created, Flag, Params, Part, Text, merged
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

Outcome = Literal["won", "lost", "warning_closed"]
Reason = Literal[
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
    "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
    "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized",
]  # fmt: skip

ANSWERED_WITHIN_S = int(timedelta(days=9).total_seconds())
"""How long evidence may take; the card networks differ, and Stripe leaves between seven and twenty-one days."""

UNANSWERED = ("needs_response", "warning_needs_response")
OPEN = (*UNANSWERED, "under_review", "warning_under_review")
VERDICTS: dict[str, Outcome] = {"winning_evidence": "won", "losing_evidence": "lost"}
INSISTS = "escalate_inquiry_evidence"
"""What Stripe's test mode decides when `uncategorized_text` says so; the last turns an inquiry into a chargeback."""
NETWORK_REASONS = {"fraudulent": "10.4", "product_not_received": "13.1"}

EvidenceText = Annotated[str, Field(max_length=20_000)]


class Evidence(Part):
    """What is said against a dispute; files are not played."""

    access_activity_log: EvidenceText | None = None
    billing_address: EvidenceText | None = None
    cancellation_policy_disclosure: EvidenceText | None = None
    cancellation_rebuttal: EvidenceText | None = None
    customer_email_address: EvidenceText | None = None
    customer_name: EvidenceText | None = None
    customer_purchase_ip: EvidenceText | None = None
    duplicate_charge_explanation: EvidenceText | None = None
    duplicate_charge_id: EvidenceText | None = None
    product_description: EvidenceText | None = None
    refund_policy_disclosure: EvidenceText | None = None
    refund_refusal_explanation: EvidenceText | None = None
    service_date: EvidenceText | None = None
    shipping_address: EvidenceText | None = None
    shipping_carrier: EvidenceText | None = None
    shipping_date: EvidenceText | None = None
    shipping_tracking_number: EvidenceText | None = None
    uncategorized_text: EvidenceText | None = None


class DisputeUpdate(Params):
    """Evidence against a dispute, sent to the bank unless `submit` is false."""

    evidence: Evidence | None = None
    metadata: ClearableMetadata = {}
    submit: Flag | None = None


class DisputeList(ListParams):
    """What a list of disputes can be narrowed by."""

    charge: Text | None = None
    created: Created | None = None
    payment_intent: Text | None = None


@routes.get("/v1/disputes")
def list_disputes(call: Call, params: DisputeList) -> Object:
    """List disputes."""

    def wanted(dispute: Object) -> bool:
        return (
            params.charge in (None, dispute["charge"])
            and params.payment_intent in (None, dispute["payment_intent"])
            and (params.created is None or params.created.holds(dispute["created"]))
        )

    return page(call, "dispute", params, where=wanted, url="/v1/disputes")


@routes.get("/v1/disputes/{dispute}")
def retrieve_dispute(call: Call, _params: Params, dispute: str) -> Object:
    """Give a dispute."""
    return call.find("dispute", dispute)


@routes.post("/v1/disputes/{dispute}")
def update_dispute(call: Call, params: DisputeUpdate, dispute: str) -> Object:
    """Keep evidence and, unless told otherwise, send it to the bank, which takes it once."""
    before = call.find("dispute", dispute)
    given = params.evidence.model_dump(exclude_unset=True) if params.evidence else {}
    submits = params.submit if params.submit is not None else bool(given)
    if (given or submits) and before["status"] not in UNANSWERED:
        raise _already_closed(before)
    evidence = {**before["evidence"], **{name: text or None for name, text in given.items()}}
    after = call.put(
        before,
        evidence=evidence,
        evidence_details={**before["evidence_details"], "has_evidence": any(evidence.values())},
        metadata=merged(before["metadata"], params.metadata),
    )
    if submits:
        after = _submitted(call, after)
    emit(call, "charge.dispute.updated", after, previous=changed(before, after))
    return after


@routes.post("/v1/disputes/{dispute}/close")
def close_dispute(call: Call, _params: Params, dispute: str) -> Object:
    """Give a dispute up; it is lost."""
    found = call.find("dispute", dispute)
    if found["status"] != "needs_response":
        raise _already_closed(found)
    return end(call, found, "lost")


def open_dispute(
    call: Call, charge: Object, *, reason: str, amount: int | None = None, inquiry: bool = False
) -> Object:
    """Dispute a charge: the bank takes the money at once, unless it only inquires."""
    due_by = call.now + ANSWERED_WITHIN_S
    card = charge["payment_method_details"]["card"]
    details = {
        "brand": card["brand"],
        "case_type": "inquiry" if inquiry else "chargeback",
        "network": card["network"],
        "network_reason_code": NETWORK_REASONS.get(reason),
    }
    dispute = shapes.dispute(
        new_id("du"),
        created=call.now,
        amount=amount or charge["amount_captured"] - charge["amount_refunded"],
        charge=charge["id"],
        currency=charge["currency"],
        is_charge_refundable=inquiry,
        payment_intent=charge["payment_intent"],
        payment_method_details={"card": details, "type": "card"},
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    last_refund = next(call.records.newest_first("refund"), None)
    dispute = call.put(
        dispute,
        evidence_details={**dispute["evidence_details"], "due_by": due_by},
        _last_refund=last_refund["id"] if last_refund else None,
    )
    call.schedule("dispute_unanswered", dispute["id"], at=due_by)
    call.put(charge, disputed=True)
    no_longer_actionable(call, charge)
    emit(call, "charge.dispute.created", dispute)
    return dispute if inquiry else _withdrawn(call, dispute)


def end(call: Call, dispute: Object, outcome: Outcome) -> Object:
    """End an open dispute; one that is won gives the money back, but not the fee."""
    details = {**dispute["evidence_details"], "past_due": call.now >= dispute["evidence_details"]["due_by"]}
    closed = call.put(dispute, status=outcome, evidence_details=details)
    if outcome == "won":
        entries = [*closed["balance_transactions"], balance.of_dispute_won(call, closed)]
        closed = call.put(closed, balance_transactions=entries, is_charge_refundable=True)
        emit(call, "charge.dispute.funds_reinstated", closed)
    emit(call, "charge.dispute.closed", closed)
    return closed


def end_unanswered(call: Call, dispute: Object) -> Object:
    """End a dispute whose evidence is due: an inquiry leads to nothing, a chargeback is lost."""
    return end(call, dispute, "warning_closed" if is_inquiry(dispute) else "lost")


def become_chargeback(call: Call, inquiry: Object) -> Object:
    """Turn an inquiry into a dispute that takes the money and can be answered anew."""
    details = inquiry["payment_method_details"]
    due_by = call.now + ANSWERED_WITHIN_S
    dispute = call.put(
        inquiry,
        evidence_details={**inquiry["evidence_details"], "due_by": due_by, "submission_count": 0},
        is_charge_refundable=False,
        payment_method_details={**details, "card": {**details["card"], "case_type": "chargeback"}},
        status="needs_response",
    )
    call.schedule("dispute_unanswered", dispute["id"], at=due_by)
    emit(call, "charge.dispute.updated", dispute, previous=changed(inquiry, dispute))
    return _withdrawn(call, dispute)


def is_inquiry(dispute: Object) -> bool:
    """Tell whether the bank only asks."""
    return bool(dispute["payment_method_details"]["card"]["case_type"] == "inquiry")


def withdrawn(call: Call, charge: Object) -> int:
    """Say how much of a charge the bank has taken back and not returned."""
    return sum(
        dispute["amount"]
        for dispute in call.records.newest_first("dispute")
        if dispute["charge"] == charge["id"] and not is_inquiry(dispute) and dispute["status"] != "won"
    )


def close_inquiries(call: Call, charge: Object) -> None:
    """End what the bank asks about a charge that was refunded whole."""
    for dispute in list(call.records.newest_first("dispute")):
        if dispute["charge"] == charge["id"] and is_inquiry(dispute) and dispute["status"] in OPEN:
            end(call, dispute, "warning_closed")


def _withdrawn(call: Call, dispute: Object) -> Object:
    taken = call.put(dispute, balance_transactions=[balance.of_dispute(call, dispute)])
    emit(call, "charge.dispute.funds_withdrawn", taken)
    return taken


def _submitted(call: Call, dispute: Object) -> Object:
    details = {**dispute["evidence_details"], "submission_count": 1}
    if dispute["evidence"]["uncategorized_text"] in {*VERDICTS, *([INSISTS] if is_inquiry(dispute) else [])}:
        call.schedule("judge_dispute", dispute["id"], at=call.now + call.settings.aftermath_s)
    return call.put(
        dispute,
        evidence_details=details,
        status="warning_under_review" if is_inquiry(dispute) else "under_review",
    )


def _already_closed(dispute: Object) -> InvalidRequestError:
    if dispute["status"] in OPEN:
        return InvalidRequestError(f"This dispute is {dispute['status']}: it cannot be answered or closed now.")
    return InvalidRequestError("This dispute is already closed")
