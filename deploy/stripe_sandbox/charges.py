"""Charges: attempts to take money, those that worked and those that did not."""

from typing import Any

from deploy.stripe_sandbox import balance, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import CARDS, Card, Decline
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import Created, Params, Text
from deploy.stripe_sandbox.routes import Routes

AUTHENTICATED = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "transaction_id": "00000000-0000-0000-0000-000000000000",
    "version": "2.2.0",
}

routes = Routes()


class ChargeList(ListParams):
    """What a list of charges can be narrowed by."""

    created: Created | None = None
    customer: Text | None = None
    payment_intent: Text | None = None


@routes.get("/v1/charges")
def list_charges(call: Call, params: ChargeList) -> Object:
    """List charges."""

    def wanted(charge: Object) -> bool:
        return (
            params.customer in (None, charge["customer"])
            and params.payment_intent in (None, charge["payment_intent"])
            and (params.created is None or params.created.holds(charge["created"]))
        )

    return page(call, "charge", params, where=wanted, url="/v1/charges")


@routes.get("/v1/charges/{charge}")
def retrieve_charge(call: Call, _params: Params, charge: str) -> Object:
    """Give a charge."""
    return call.find("charge", charge)


def succeeded(call: Call, intent: Object, method: Object, *, authenticated: bool = False) -> Object:
    """Take the money of a payment intent; the balance transaction may come later, as Stripe's does."""
    charge = _charge(call, intent, method, authenticated=authenticated)
    charge = call.put(charge, **_paid(call, charge))
    if intent["capture_method"] == "automatic":
        charge = call.put(charge, balance_transaction=balance.of_charge(call, charge)["id"])
    else:
        call.schedule("settle_charge", charge["id"], at=call.now + call.settings.charge_settles_s)
    emit(call, "charge.succeeded", charge)
    if card_of_charge(call, charge).aftermath:
        call.schedule("bring_aftermath", charge["id"], at=call.now + call.settings.aftermath_s)
    return charge


def pending(call: Call, intent: Object, method: Object) -> Object:
    """Begin a charge that ends later, such as a bank debit."""
    charge = call.put(_charge(call, intent, method), status="pending", captured=True, amount_captured=intent["amount"])
    emit(call, "charge.pending", charge)
    return charge


def failed(call: Call, intent: Object, method: Object, decline: Decline) -> Object:
    """Record an attempt that the bank declined."""
    charge = call.put(_charge(call, intent, method), **_declined(decline))
    emit(call, "charge.failed", charge)
    return charge


def end_pending(call: Call, charge: Object, decline: Decline | None) -> Object:
    """End a pending charge, well or declined."""
    if decline:
        after = call.put(charge, **_declined(decline), captured=False, amount_captured=0)
        emit(call, "charge.failed", after)
        return after
    after = call.put(charge, **_paid(call, charge))
    after = call.put(after, balance_transaction=balance.of_charge(call, after)["id"])
    emit(call, "charge.succeeded", after)
    return after


def card_of_charge(call: Call, charge: Object) -> Card:
    """Give the test card that a card's charge was made with."""
    return CARDS[call.named("payment_method", charge["payment_method"], "payment_method")["_card"]]


def settle(call: Call, name: str) -> None:
    """Give a charge its balance transaction."""
    before = call.named("charge", name, "charge")
    after = call.put(before, balance_transaction=balance.of_charge(call, before)["id"])
    emit(call, "charge.updated", after, previous=changed(before, after))


def _charge(call: Call, intent: Object, method: Object, *, authenticated: bool = False) -> Object:
    return shapes.charge(
        new_id("ch"),
        created=call.now,
        amount=intent["amount"],
        billing_details=method["billing_details"],
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        metadata=intent["metadata"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_details(intent, method, authenticated=authenticated),
        receipt_email=intent["receipt_email"],
        shipping=intent["shipping"],
        statement_descriptor=intent["statement_descriptor"],
        statement_descriptor_suffix=intent["statement_descriptor_suffix"],
    )


def _paid(call: Call, charge: Object) -> dict[str, Any]:
    return {
        "amount_captured": charge["amount"],
        "captured": True,
        "outcome": _outcome("authorized", "approved_by_network", "Payment complete."),
        "paid": True,
        "receipt_url": f"{call.base_url}/receipts/{charge['id']}",
        "status": "succeeded",
    }


def _declined(decline: Decline) -> dict[str, Any]:
    outcome = _outcome("issuer_declined", "declined_by_network", "The bank did not return any further details.")
    return {
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": {**outcome, "advice_code": decline.advice, "reason": decline.decline_code},
        "paid": False,
        "status": "failed",
    }


def _outcome(kind: str, network: str, message: str) -> Object:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": network,
        "reason": None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": message,
        "type": kind,
    }


def _details(intent: Object, method: Object, *, authenticated: bool) -> Object:
    if method["type"] == "us_bank_account":
        account = method["us_bank_account"]
        kept = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        details = {name: account[name] for name in kept}
        return {"type": "us_bank_account", "us_bank_account": {**details, "payment_reference": None}}
    return {"type": "card", "card": _card_details(intent, method, authenticated=authenticated)}


def _card_details(intent: Object, method: Object, *, authenticated: bool) -> Object:
    card = method["card"]
    same = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "regulated_status")
    return {
        **{name: card[name] for name in same},
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": CARDS[method["_card"]].brand,
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        "three_d_secure": AUTHENTICATED if authenticated else None,
        "transaction_link_id": None,
        "wallet": None,
    }
