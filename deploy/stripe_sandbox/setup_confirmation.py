"""What confirming a setup intent leads to.

requires_payment_method --method--> requires_confirmation
requires_payment_method, requires_confirmation --confirm--> succeeded | requires_action
requires_action --authenticated--> succeeded;  --not authenticated--> requires_payment_method
any attempt that is declined --> requires_payment_method
every state before succeeded --cancel--> canceled
"""

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import CARDS, Decline
from deploy.stripe_sandbox.errors import CardRefusedError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.intents import ask_for_action, check_fits, wants_authentication
from deploy.stripe_sandbox.payment_methods import attach

AUTHENTICATION_FAILED = Decline(
    "setup_intent_authentication_failure",
    None,
    "The latest attempt to set up the payment method has failed because authentication failed.",
    advice=None,
    kind="invalid_request_error",
)


def confirm(call: Call, intent: Object, method: Object, *, return_url: str | None) -> Object:
    """Confirm a setup intent with a card that fits it; raises CardRefusedError when the bank says no."""
    check_fits(intent, method)
    intent = call.put(
        intent, payment_method=method["id"], next_action=None, last_setup_error=None, _return_url=return_url
    )
    if CARDS[method["_card"]].authentication == "never" and not wants_authentication(intent):
        return _keep(call, intent, method)
    waiting = ask_for_action(call, intent, return_url)
    emit(call, "setup_intent.requires_action", waiting)
    return waiting


def authenticate(call: Call, intent: Object, *, passed: bool) -> Object:
    """Go on with a setup intent whose customer has, or has not, authenticated; never raises for a decline."""
    method = call.named("payment_method", intent["payment_method"], "payment_method")
    intent = call.put(intent, next_action=None)
    try:
        if not passed:
            raise _refuse(call, intent, method, AUTHENTICATION_FAILED)
        return _keep(call, intent, method)
    except CardRefusedError:
        return call.named("setup_intent", intent["id"], "intent")


def cancel(call: Call, intent: Object, reason: str | None) -> Object:
    """Cancel a setup intent for good."""
    canceled = call.put(intent, status="canceled", cancellation_reason=reason, next_action=None)
    emit(call, "setup_intent.canceled", canceled)
    return canceled


def _keep(call: Call, intent: Object, method: Object) -> Object:
    card = CARDS[method["_card"]]
    if card.decline and card.declines_when_attached:
        raise _refuse(call, intent, method, card.decline)
    if intent["customer"]:
        method = attach(call, method, call.named("customer", intent["customer"], "customer"))
    if intent["usage"] == "off_session":
        call.put(method, _set_up=True)
    done = call.put(intent, status="succeeded", next_action=None)
    emit(call, "setup_intent.succeeded", done)
    return done


def _refuse(call: Call, intent: Object, method: Object, decline: Decline) -> CardRefusedError:
    error = decline.refusal(payment_method=shapes.shown(method)).envelope(None)["error"] | {"type": decline.kind}
    failed = call.put(
        intent, status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error
    )
    emit(call, "setup_intent.setup_failed", failed)
    return decline.refusal(setup_intent=shapes.shown(failed), payment_method=shapes.shown(method))
