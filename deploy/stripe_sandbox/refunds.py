"""Refunds: money back, never more than was taken and not disputed; some fail after they seemed to succeed."""

from typing import Literal

from deploy.stripe_sandbox import balance, money, shapes
from deploy.stripe_sandbox.amounts import check_granularity
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.charges import card_of_charge
from deploy.stripe_sandbox.disputes import close_inquiries, withdrawn
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.fraud_warnings import no_longer_actionable
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import ClearableMetadata, Created, Params, Text, Whole, merged
from deploy.stripe_sandbox.routes import Routes

routes = Routes()


class RefundCreate(Params):
    """What is to be given back; all that is left, unless an amount says otherwise."""

    amount: Whole | None = None
    charge: Text | None = None
    metadata: ClearableMetadata = {}
    payment_intent: Text | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class RefundUpdate(Params):
    """A change of what is noted beside a refund."""

    metadata: ClearableMetadata = {}


class RefundList(ListParams):
    """What a list of refunds can be narrowed by."""

    charge: Text | None = None
    created: Created | None = None
    payment_intent: Text | None = None


@routes.post("/v1/refunds")
def create_refund(call: Call, params: RefundCreate) -> Object:
    """Give back what a charge took, or a part of it."""
    charge = _charge(call, params)
    refund = _refund(call, charge, _amount(call, charge, params.amount), params)
    total = charge["amount_refunded"] + refund["amount"]
    after = call.put(charge, amount_refunded=total, refunded=total == charge["amount_captured"])
    emit(call, "refund.created", refund)
    emit(call, "charge.refunded", after, previous=changed(charge, after))
    if after["refunded"]:
        no_longer_actionable(call, after)
        close_inquiries(call, after)
    return refund


@routes.get("/v1/refunds/{refund}")
def retrieve_refund(call: Call, _params: Params, refund: str) -> Object:
    """Give a refund."""
    return call.find("refund", refund)


@routes.post("/v1/refunds/{refund}")
def update_refund(call: Call, params: RefundUpdate, refund: str) -> Object:
    """Change a refund's metadata."""
    before = call.find("refund", refund)
    after = call.put(before, metadata=merged(before["metadata"], params.metadata))
    _tell_update(call, before, after)
    return after


@routes.post("/v1/refunds/{refund}/cancel")
def cancel_refund(call: Call, _params: Params, refund: str) -> Object:
    """Refuse: only a refund that waits for its customer could be canceled, and no card's or bank's does."""
    found = call.find("refund", refund)
    raise InvalidRequestError(
        f"You can only cancel refunds that have a status of requires_action. This refund has a status of "
        f"{found['status']}."
    )


@routes.get("/v1/refunds")
def list_refunds(call: Call, params: RefundList) -> Object:
    """List refunds."""

    def wanted(refund: Object) -> bool:
        return (
            params.charge in (None, refund["charge"])
            and params.payment_intent in (None, refund["payment_intent"])
            and (params.created is None or params.created.holds(refund["created"]))
        )

    return page(call, "refund", params, where=wanted, url="/v1/refunds")


def fail(call: Call, refund: Object, reason: str) -> Object:
    """Have a refund fail after all: the money comes back, and the charge counts as unrefunded by so much."""
    charge = call.named("charge", refund["charge"], "charge")
    call.put(charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    entry = balance.of_failed_refund(call, refund)
    failed = call.put(refund, status="failed", failure_reason=reason, failure_balance_transaction=entry["id"])
    emit(call, "refund.failed", failed)
    _tell_update(call, refund, failed)
    return failed


def end_refund(call: Call, refund: Object) -> Object:
    """Bring a test card's refund to the end that the card is for."""
    charge = call.named("charge", refund["charge"], "charge")
    if card_of_charge(call, charge).refunds == "fail":
        return fail(call, refund, "expired_or_canceled_card")
    arrived = call.put(refund, status="succeeded")
    _tell_update(call, refund, arrived)
    return arrived


def _tell_update(call: Call, before: Object, after: Object) -> None:
    previous = changed(before, after)
    emit(call, "refund.updated", after, previous=previous)
    emit(call, "charge.refund.updated", after, previous=previous)


def _refund(call: Call, charge: Object, amount: int, params: RefundCreate) -> Object:
    kind = "us_bank_transfer" if charge["payment_method_details"]["type"] == "us_bank_account" else "card"
    details = {"type": "refund"} if kind == "card" else {"reference": None, "reference_status": None}
    refund = shapes.refund(
        new_id("re"),
        created=call.now,
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details={"type": kind, kind: details},
        metadata=merged({}, params.metadata),
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=params.reason,
    )
    if kind == "card":
        refund = _with_end_to_come(call, charge, refund)
    return call.put(refund, balance_transaction=balance.of_refund(call, refund)["id"])


def _with_end_to_come(call: Call, charge: Object, refund: Object) -> Object:
    refunds = card_of_charge(call, charge).refunds
    if refunds == "arrive":
        return refund
    call.schedule("end_refund", refund["id"], at=call.now + call.settings.aftermath_s)
    return {**refund, "status": "pending"} if refunds == "arrive_late" else refund


def _charge(call: Call, params: RefundCreate) -> Object:
    if (params.charge is None) == (params.payment_intent is None):
        raise InvalidRequestError(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    if params.charge:
        charge = call.named("charge", params.charge, "charge")
    else:
        charge = _charge_of_intent(call, params.payment_intent or "")
    if charge["status"] != "succeeded":
        raise InvalidRequestError(
            f"Charge {charge['id']} has not succeeded, so there is nothing to refund.", param="charge"
        )
    return charge


def _charge_of_intent(call: Call, name: str) -> Object:
    intent = call.named("payment_intent", name, "payment_intent")
    if intent["status"] != "succeeded":
        raise InvalidRequestError(
            f"This PaymentIntent ({name}) does not have a successful charge to refund.",
            code="payment_intent_unexpected_state",
            payment_intent=shapes.shown(intent),
        )
    return call.named("charge", intent["latest_charge"], "charge")


def _amount(call: Call, charge: Object, asked: int | None) -> int:
    unrefunded = charge["amount_captured"] - charge["amount_refunded"]
    if unrefunded == 0:
        raise InvalidRequestError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    left: int = unrefunded - withdrawn(call, charge)
    if left <= 0:
        raise InvalidRequestError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if asked is None:
        return left
    if asked < 1:
        raise InvalidRequestError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    check_granularity(asked, charge["currency"], param="amount")
    if asked > left:
        raise InvalidRequestError(
            f"Refund amount ({money.shown(asked, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({money.shown(left, charge['currency'])})",
            param="amount",
        )
    return asked
