"""Refunds: money back, never more than was taken."""

from typing import Literal

from deploy.stripe_sandbox import balance, money, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import changed, emit
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
    refund = _refund(call, charge, _amount(charge, params.amount), params)
    total = charge["amount_refunded"] + refund["amount"]
    after = call.put(charge, amount_refunded=total, refunded=total == charge["amount_captured"])
    emit(call, "refund.created", refund)
    emit(call, "charge.refunded", after, previous=changed(charge, after))
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
    emit(call, "refund.updated", after, previous=changed(before, after))
    return after


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
    return call.put(refund, balance_transaction=balance.of_refund(call, refund)["id"])


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


def _amount(charge: Object, asked: int | None) -> int:
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise InvalidRequestError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if asked is None:
        return left
    if asked < 1:
        raise InvalidRequestError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if asked > left:
        raise InvalidRequestError(
            f"Refund amount ({money.shown(asked, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({money.shown(left, charge['currency'])})",
            param="amount",
        )
    return asked
