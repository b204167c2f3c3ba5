"""What happens when somebody pays, or leaves a card, on a Checkout page."""

from dataclasses import dataclass
from typing import Any

from deploy.stripe_sandbox import confirmation, setup_confirmation, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import card_of
from deploy.stripe_sandbox.checkout import customer_details, follow_intent
from deploy.stripe_sandbox.checkout_lines import discount_of_code, priced
from deploy.stripe_sandbox.errors import CardRefusedError, InvalidRequestError, Object
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
    promotion_code: str = ""


def pay(call: Call, session: Object, payer: Payer) -> Object:
    """Try to pay a session, or to leave a card with it, and give its intent as it then is.

    Raises CardRefusedError for a number that is no test card's, InvalidRequestError for a code that gives nothing.
    """
    method = _method(call, payer)
    session = _with_discount(call, _with_payer(call, session, payer), payer)
    intent = _intent(call, session)
    try:
        intent = _confirmed(call, session, intent, method)
    except CardRefusedError:
        return call.named(intent["object"], intent["id"], "intent")
    follow_intent(call, intent)
    return intent


def answer_challenge(call: Call, intent: Object, *, passed: bool) -> Object:
    """Go on with an intent whose customer was asked to authenticate, and with its session if it has one."""
    process = confirmation if intent["object"] == "payment_intent" else setup_confirmation
    intent = process.authenticate(call, intent, passed=passed)
    follow_intent(call, intent)
    return intent


def _confirmed(call: Call, session: Object, intent: Object, method: Object) -> Object:
    url = f"{call.base_url}/c/pay/{session['id']}"
    if session["mode"] == "setup":
        return setup_confirmation.confirm(call, intent, method, return_url=url)
    return confirmation.confirm(call, intent, method, return_url=url, off_session=False, stop_at_action=False)


def _method(call: Call, payer: Payer) -> Object:
    billing = {**shapes.NO_BILLING_DETAILS, "email": payer.email, "name": payer.name}
    if payer.card_number is None:
        return make_bank_account(call, billing_details=billing)
    return make_card(call, card_of(payer.card_number), billing_details=billing)


def _with_payer(call: Call, session: Object, payer: Payer) -> Object:
    known: dict[str, Any] = {"customer_details": customer_details(email=payer.email, name=payer.name)}
    if session["customer"] is None and _needs_customer(session):
        customer = shapes.customer(new_id("cus", 14), created=call.now, email=payer.email, name=payer.name)
        emit(call, "customer.created", call.put(customer))
        known["customer"] = customer["id"]
    return call.put(session, **known)


def _needs_customer(session: Object) -> bool:
    keeps_card = session.get("_intent_data", {}).get("setup_future_usage") is not None
    return keeps_card or session["customer_creation"] == "always"


def _with_discount(call: Call, session: Object, payer: Payer) -> Object:
    if not payer.promotion_code:
        return session
    if not session["allow_promotion_codes"]:
        raise InvalidRequestError("This session takes no promotion codes.", param="promotion_code")
    return call.put(session, **priced(call, session, discount_of_code(call, payer.promotion_code)))


def _intent(call: Call, session: Object) -> Object:
    if session["mode"] == "setup":
        found = call.named("setup_intent", session["setup_intent"], "setup_intent")
        return call.put(found, customer=session["customer"])
    intent = call.records.get("payment_intent", session["payment_intent"] or "")
    if intent is not None:
        return call.put(intent, customer=session["customer"], amount=session["amount_total"])
    intent = new_intent(
        call,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        **session["_intent_data"],
    )
    call.put(session, payment_intent=intent["id"])
    return call.put(intent, _session=session["id"])
