"""What confirming a payment intent leads to: its states, and the only ways between them.

requires_payment_method --method--> requires_confirmation
requires_payment_method, requires_confirmation --confirm--> succeeded | processing | requires_action
requires_action --authenticated--> succeeded;  --not authenticated--> requires_payment_method
any attempt that is declined --> requires_payment_method
processing --the bank answers--> succeeded | requires_payment_method
every state before succeeded and processing --cancel--> canceled
"""

from deploy.stripe_sandbox import charges, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import CARDS, Card, Decline
from deploy.stripe_sandbox.errors import CardRefusedError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.intents import ask_for_action, check_fits, wants_authentication
from deploy.stripe_sandbox.payment_methods import attach

AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again.",
    advice=None,
    kind="invalid_request_error",
)
NO_MONEY_IN_BANK = Decline(
    "insufficient_funds", None, "The customer's account has insufficient funds to cover this payment.", advice=None
)


def confirm(
    call: Call, intent: Object, method: Object, *, return_url: str | None, off_session: bool, stop_at_action: bool
) -> Object:
    """Confirm an intent with a method that fits it; raises CardRefusedError when the bank says no.

    `off_session` means that nobody is there to authenticate, `stop_at_action` that the caller wants an error
    rather than an action.
    """
    check_fits(intent, method)
    intent = call.put(
        intent, payment_method=method["id"], next_action=None, last_payment_error=None, _return_url=return_url
    )
    if method["type"] == "us_bank_account":
        return _begin_debit(call, intent, method)
    card = CARDS[method["_card"]]
    if not _must_authenticate(intent, card, method, off_session=off_session):
        return _charge_card(call, intent, method, authenticated=False)
    if off_session or stop_at_action:
        raise _refuse(call, intent, method, AUTHENTICATION_REQUIRED, charged=off_session)
    waiting = ask_for_action(call, intent, return_url)
    emit(call, "payment_intent.requires_action", waiting)
    return waiting


def authenticate(call: Call, intent: Object, *, passed: bool) -> Object:
    """Go on with an intent whose customer has, or has not, authenticated; never raises for a decline."""
    method = call.named("payment_method", intent["payment_method"], "payment_method")
    intent = call.put(intent, next_action=None)
    try:
        if not passed:
            raise _refuse(call, intent, method, AUTHENTICATION_FAILED, charged=False)
        return _charge_card(call, intent, method, authenticated=True)
    except CardRefusedError:
        return call.named("payment_intent", intent["id"], "intent")


def end_debit(call: Call, intent: Object, *, succeeded: bool) -> Object:
    """End the bank debit of a processing intent."""
    method = call.named("payment_method", intent["payment_method"], "payment_method")
    charge = call.named("charge", intent["latest_charge"], "charge")
    if succeeded:
        return _succeed(call, intent, charges.end_pending(call, charge, None), method)
    charge = charges.end_pending(call, charge, NO_MONEY_IN_BANK)
    return _fail(call, intent, method, NO_MONEY_IN_BANK, charge)


def cancel(call: Call, intent: Object, reason: str | None) -> Object:
    """Cancel an intent for good."""
    canceled = call.put(
        intent,
        status="canceled",
        canceled_at=call.now,
        cancellation_reason=reason,
        next_action=None,
        amount_capturable=0,
    )
    emit(call, "payment_intent.canceled", canceled)
    return canceled


def _must_authenticate(intent: Object, card: Card, method: Object, *, off_session: bool) -> bool:
    if card.authentication == "unless_set_up":
        return not (off_session and method.get("_set_up"))
    return card.authentication == "always" or (wants_authentication(intent) and not off_session)


def _charge_card(call: Call, intent: Object, method: Object, *, authenticated: bool) -> Object:
    decline = CARDS[method["_card"]].decline
    if decline:
        raise _refuse(call, intent, method, decline, charged=True)
    charge = charges.succeeded(call, intent, method, authenticated=authenticated)
    return _succeed(call, intent, charge, method, authenticated=authenticated)


def _succeed(call: Call, intent: Object, charge: Object, method: Object, *, authenticated: bool = False) -> Object:
    paid = call.put(
        intent, status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"], next_action=None
    )
    _keep_or_use_up(call, intent, method, authenticated=authenticated)
    emit(call, "payment_intent.succeeded", paid)
    return paid


def _keep_or_use_up(call: Call, intent: Object, method: Object, *, authenticated: bool) -> None:
    if method["customer"] is None and intent["customer"] and intent["setup_future_usage"]:
        method = attach(call, method, call.named("customer", intent["customer"], "customer"))
    if method["customer"] is None:
        call.put(method, _used_up=True)
    elif intent["setup_future_usage"] == "off_session" and authenticated:
        call.put(method, _set_up=True)


def _begin_debit(call: Call, intent: Object, method: Object) -> Object:
    charge = charges.pending(call, intent, method)
    processing = call.put(intent, status="processing", latest_charge=charge["id"])
    call.schedule("end_debit", intent["id"], at=call.now + call.settings.debit_settles_s)
    emit(call, "payment_intent.processing", processing)
    return processing


def _refuse(call: Call, intent: Object, method: Object, decline: Decline, *, charged: bool) -> CardRefusedError:
    charge = charges.failed(call, intent, method, decline) if charged else None
    failed = _fail(call, intent, method, decline, charge)
    more = {"charge": charge["id"]} if charge else {}
    return decline.refusal(payment_intent=shapes.shown(failed), payment_method=shapes.shown(method), **more)


def _fail(call: Call, intent: Object, method: Object, decline: Decline, charge: Object | None) -> Object:
    more = {"charge": charge["id"]} if charge else {}
    error = decline.refusal(payment_method=shapes.shown(method), **more).envelope(None)["error"] | {
        "type": decline.kind
    }
    failed = call.put(
        intent,
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=error,
        latest_charge=charge["id"] if charge else intent["latest_charge"],
    )
    emit(call, "payment_intent.payment_failed", failed)
    return failed
