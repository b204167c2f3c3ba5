"""What befalls payments after they were made: disputes, warnings, refunds; by test card, or by these switches."""

from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.charges import card_of_charge
from deploy.stripe_sandbox.control import Body, TheSandbox
from deploy.stripe_sandbox.disputes import (
    INSISTS,
    OPEN,
    VERDICTS,
    Outcome,
    Reason,
    become_chargeback,
    end,
    is_inquiry,
    open_dispute,
    withdrawn,
)
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.fraud_warnings import FraudType, warn
from deploy.stripe_sandbox.refunds import RefundCreate, create_refund, fail

router = APIRouter(prefix="/sandbox", tags=["sandbox"])

FailureReason = Literal[
    "charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card", "insufficient_funds",
    "lost_or_stolen_card", "merchant_request", "unknown",
]  # fmt: skip


class NewDispute(Body):
    """What a bank disputes of a charge: all that is left of it, unless an amount says otherwise."""

    reason: Reason = "fraudulent"
    amount: int | None = Field(None, gt=0)
    inquiry: bool = False


class DisputeEnd(Body):
    """How a dispute ends; an inquiry is only ever closed."""

    outcome: Outcome


class NewWarning(Body):
    """What an issuer suspects."""

    fraud_type: FraudType = "misc"


class DashboardRefund(Body):
    """What is given back; all that is left, unless an amount says otherwise."""

    amount: int | None = Field(None, gt=0)


class RefundFailure(Body):
    """Why a refund does not arrive."""

    failure_reason: FailureReason = "expired_or_canceled_card"


@router.post("/charges/{charge}/dispute")
async def dispute_charge(sandbox: TheSandbox, charge: str, body: NewDispute) -> Object:
    """Have a bank dispute a charge now, or inquire about it."""
    with sandbox.change() as call:
        return shapes.shown(dispute_if_possible(call, charge, body))


@router.post("/disputes/{dispute}/close")
async def close_dispute(sandbox: TheSandbox, dispute: str, body: DisputeEnd) -> Object:
    """Have a bank end a dispute now."""
    with sandbox.change() as call:
        return shapes.shown(end_if_possible(call, dispute, body.outcome))


@router.post("/disputes/{dispute}/escalate")
async def escalate_inquiry(sandbox: TheSandbox, dispute: str) -> Object:
    """Have a bank turn its inquiry into a chargeback now."""
    with sandbox.change() as call:
        found = call.records.get("dispute", dispute)
        if found is None or found["status"] not in OPEN or not is_inquiry(found):
            raise HTTPException(409, "There is no such inquiry that is open.")
        return shapes.shown(escalate(call, found))


@router.post("/charges/{charge}/fraud_warning")
async def warn_of_charge(sandbox: TheSandbox, charge: str, body: NewWarning) -> Object:
    """Have a card's issuer warn of a charge."""
    with sandbox.change() as call:
        return shapes.shown(warn_if_possible(call, charge, body))


@router.post("/charges/{charge}/refund")
async def refund_charge(sandbox: TheSandbox, charge: str, body: DashboardRefund) -> Object:
    """Give a charge back as somebody at the dashboard does: no call, and no metadata of ours."""
    with sandbox.change() as call:
        return shapes.shown(refund_if_possible(call, charge, body.amount))


@router.post("/refunds/{refund}/fail")
async def fail_refund(sandbox: TheSandbox, refund: str, body: RefundFailure) -> Object:
    """Have a refund fail, although it may have succeeded."""
    with sandbox.change() as call:
        return shapes.shown(fail_if_possible(call, refund, body.failure_reason))


def bring_aftermath(call: Call, charge: Object) -> None:
    """Do to a charge what its test card is for."""
    match card_of_charge(call, charge).aftermath:
        case "fraud_warning":
            warn(call, charge, "misc")
        case "inquiry":
            open_dispute(call, charge, reason="fraudulent", inquiry=True)
        case "fraudulent" | "product_not_received" as reason:
            open_dispute(call, charge, reason=reason)


def judge(call: Call, dispute: Object) -> Object:
    """Let the bank decide as the evidence asks it to."""
    text = dispute["evidence"]["uncategorized_text"]
    if not is_inquiry(dispute):
        return end(call, dispute, VERDICTS[text])
    return escalate(call, dispute) if text == INSISTS else end(call, dispute, "warning_closed")


def escalate(call: Call, inquiry: Object) -> Object:
    """Turn an inquiry into a chargeback; what was refunded meanwhile fails, as the bank takes all of it."""
    for refund in list(call.records.oldest_first("refund", newer_than=inquiry["_last_refund"])):
        if refund["charge"] == inquiry["charge"] and refund["status"] in ("succeeded", "pending"):
            fail(call, refund, "charge_for_pending_refund_disputed")
    return become_chargeback(call, inquiry)


def dispute_if_possible(call: Call, name: str, wanted: NewDispute) -> Object:
    """Open a dispute; raises HTTPException for a charge that has not so much left to dispute."""
    charge = _paid_by_card(call, name)
    left = charge["amount_captured"] - charge["amount_refunded"] - withdrawn(call, charge)
    if left < (wanted.amount or 1):
        raise HTTPException(409, f"Of this charge {left} is left to dispute.")
    return open_dispute(call, charge, reason=wanted.reason, amount=wanted.amount or left, inquiry=wanted.inquiry)


def end_if_possible(call: Call, name: str, outcome: Outcome) -> Object:
    """End a dispute; raises HTTPException for one that is not open or cannot end so."""
    dispute = call.records.get("dispute", name)
    if dispute is None or dispute["status"] not in OPEN:
        raise HTTPException(409, "There is no such dispute that is open.")
    if is_inquiry(dispute) != (outcome == "warning_closed"):
        raise HTTPException(409, "An inquiry ends as warning_closed, and nothing else does.")
    return end(call, dispute, outcome)


def warn_if_possible(call: Call, name: str, wanted: NewWarning) -> Object:
    """Warn of a charge; raises HTTPException for one that no card has paid."""
    return warn(call, _paid_by_card(call, name), wanted.fraud_type)


def refund_if_possible(call: Call, name: str, amount: int | None) -> Object:
    """Refund a charge as at the dashboard; raises HTTPException for one that has not so much left to give back."""
    if call.records.get("charge", name) is None:
        raise HTTPException(409, "There is no such charge.")
    wanted = {"charge": name} if amount is None else {"charge": name, "amount": str(amount)}
    try:
        return create_refund(call, RefundCreate.model_validate(wanted))
    except InvalidRequestError as error:
        raise HTTPException(409, str(error)) from error


def fail_if_possible(call: Call, name: str, reason: FailureReason) -> Object:
    """Fail a refund; raises HTTPException for one that cannot fail any more."""
    refund = call.records.get("refund", name)
    if refund is None or refund["status"] not in ("succeeded", "pending"):
        raise HTTPException(409, "There is no such refund that succeeded or is pending.")
    return fail(call, refund, reason)


def _paid_by_card(call: Call, name: str) -> Object:
    charge = call.records.get("charge", name)
    if charge is None or charge["status"] != "succeeded" or charge["payment_method_details"]["type"] != "card":
        raise HTTPException(409, "There is no such charge that succeeded by card.")
    return charge
