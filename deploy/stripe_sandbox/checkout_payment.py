"""What happens when somebody pays on a Checkout page."""

from dataclasses import dataclass
from typing import Any

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import card_of
from deploy.stripe_sandbox.checkout import customer_details, follow_intent
from deploy.stripe_sandbox.confirmation import authenticate, confirm
from deploy.stripe_sandbox.errors import CardRefusedError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.payment_intents import new_intent
from deploy.stripe_sandbox.payment_methods import make_bank_account, make_card


@dataclass(frozen=True)
class Payer:
    """What somebody typed into the page."""

    email: str
    name: str
    card_number: str | None
    """None pays by bank account."""


def pay(call: Call, session: Object, payer: Payer) -> Object:
    """Try to pay a session, and give its intent as it then is.

    Raises CardRefusedError for a number that is no test card's.
    """
    method = _method(call, payer)
    session = _with_payer(call, session, payer)
    intent = _intent(call, session)
    try:
        intent = confirm(
            call, intent, method, return_url=page_url(call, session), off_session=False, stop_at_action=False
        )
    except CardRefusedError:
        return call.named("payment_intent", intent["id"], "intent")
    follow_intent(call, intent)
    return intent


def answer_challenge(call: Call, intent: Object, *, passed: bool) -> Object:
    """Go on with an intent whose customer was asked to authenticate, and with its session if it has one."""
    intent = authenticate(call, intent, passed=passed)
    follow_intent(call, intent)
    return intent


def page_url(call: Call, session: Object) -> str:
    """Give the address of a session's page."""
    return f"{call.base_url}/c/pay/{session['id']}"


def _method(call: Call, payer: Payer) -> Object:
    billing = {**shapes.NO_BILLING_DETAILS, "email": payer.email, "name": payer.name}
    if payer.card_number is None:
        return make_bank_account(call, billing_details=billing)
    return make_card(call, card_of(payer.card_number), billing_details=billing)


def _with_payer(call: Call, session: Object, payer: Payer) -> Object:
    known: dict[str, Any] = {"customer_details": customer_details(email=payer.email, name=payer.name)}
    if session["customer"] is None and session["customer_creation"] == "always":
        customer = shapes.customer(new_id("cus", 14), created=call.now, email=payer.email, name=payer.name)
        emit(call, "customer.created", call.put(customer))
        known["customer"] = customer["id"]
    return call.put(session, **known)


def _intent(call: Call, session: Object) -> Object:
    intent = call.records.get("payment_intent", session["payment_intent"] or "")
    if intent is not None:
        return call.put(intent, customer=session["customer"])
    intent = new_intent(
        call,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        **session["_intent_data"],
    )
    call.put(session, payment_intent=intent["id"])
    return call.put(intent, _session=session["id"])
