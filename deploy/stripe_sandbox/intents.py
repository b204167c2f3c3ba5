"""What payment intents and setup intents have in common: parameters, secrets, the way to the bank's question."""

from collections.abc import Sequence
from typing import Any, Literal

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, NotFoundError, Object
from deploy.stripe_sandbox.params import Flag, Params, Part, Text
from deploy.stripe_sandbox.payment_methods import refuse_used_up

TITLES = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
"""The states in which an intent can still be changed, confirmed and canceled."""


class AutomaticPaymentMethods(Part):
    """Whether Stripe chooses the methods, and whether they may lead the customer away."""

    enabled: Flag
    allow_redirects: Literal["always", "never"] = "always"


class CardOptions(Part):
    """How a card is to be used."""

    request_three_d_secure: Literal["any", "automatic", "challenge"] = "automatic"


class PaymentMethodOptions(Part):
    """How each kind of method is to be used."""

    card: CardOptions | None = None


class Returning(Params):
    """How a customer who was led away comes back."""

    return_url: Text | None = None
    use_stripe_sdk: Flag = False


def automatic(chosen: AutomaticPaymentMethods | None) -> Object:
    """Shape how Stripe chooses the methods; it does so unless told otherwise."""
    return (chosen or AutomaticPaymentMethods.model_validate({"enabled": "true"})).model_dump()


def unexpected_state(intent: Object, message: str) -> InvalidRequestError:
    """Make the error for an intent that is in no state to do as asked."""
    kind: str = intent["object"]
    more: dict[str, Any] = {kind: shapes.shown(intent)}
    return InvalidRequestError(message, code=f"{kind}_unexpected_state", **more)


def check_confirmable(intent: Object) -> None:
    """Refuse to confirm an intent that has come to its end or is on its way there."""
    title = TITLES[intent["object"]]
    if intent["status"] == "succeeded":
        raise unexpected_state(
            intent,
            f"You cannot confirm this {title} because it has already succeeded after being previously confirmed.",
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            intent,
            f"You cannot confirm this {title} because it has a status of {intent['status']}. Only a {title} with one "
            f"of the following statuses may be confirmed: {', '.join(CONFIRMABLE)}.",
        )


def check_cancelable(intent: Object) -> None:
    """Refuse to cancel an intent that has come to its end or is on its way there."""
    title = TITLES[intent["object"]]
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            intent,
            f"You cannot cancel this {title} because it has a status of {intent['status']}. Only a {title} with one "
            f"of the following statuses may be canceled: {', '.join(CONFIRMABLE)}.",
        )


def check_changeable(intent: Object, sent: set[str]) -> None:
    """Refuse to change an intent that has come to its end or is on its way there, but for what is noted beside it."""
    title = TITLES[intent["object"]]
    if intent["status"] not in CONFIRMABLE and sent - {"metadata", "description", "expand"}:
        raise unexpected_state(
            intent,
            f"This {title} could not be updated because it has a status of {intent['status']}. You may only update a "
            f"{title} with one of the following statuses: {', '.join(CONFIRMABLE)}.",
        )


def check_has_method(intent: Object) -> None:
    """Refuse to confirm an intent that has nothing to be confirmed with."""
    title = TITLES[intent["object"]]
    if intent["payment_method"] is None:
        raise unexpected_state(
            intent,
            f"You cannot confirm this {title} because it's missing a payment method. You can either update the "
            f"{title} with a payment method and then confirm it again, or confirm it again directly with a payment "
            "method.",
        )


def check_fits(intent: Object, method: Object) -> None:
    """Refuse a method that this intent cannot go with."""
    refuse_used_up(method)
    title, owner = TITLES[intent["object"]], method["customer"]
    if owner is not None and owner != intent["customer"]:
        raise InvalidRequestError(
            f"The payment method supplied ({method['id']}) belongs to the Customer {owner}. Please include the "
            f"Customer in the `customer` parameter on the {title}.",
            param="payment_method",
        )
    if method["type"] not in intent["payment_method_types"]:
        raise InvalidRequestError(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this {title}. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )


def as_seen(call: Call, intent: Object, by_browsers: Sequence[str]) -> Object:
    """Show an intent to whoever asks: of it a browser sees what concerns a browser."""
    return {name: intent[name] for name in by_browsers} if call.publishable else intent


def check_secret(call: Call, intent: Object, secret: str | None) -> None:
    """Refuse a browser that does not know the intent's secret, as if there were no such intent."""
    is_right = secret == intent["client_secret"] if secret is not None else not call.publishable
    if not is_right:
        raise NotFoundError(intent["object"], intent["id"], param="intent")


def check_return_url(call: Call, intent: Object, params: Returning) -> None:
    """Refuse a server that does not say where customers return to from methods that lead them away."""
    chosen = intent["automatic_payment_methods"]
    may_redirect = chosen["enabled"] and chosen["allow_redirects"] == "always"
    if may_redirect and not (params.return_url or params.use_stripe_sdk or call.publishable):
        raise InvalidRequestError(
            f"This {TITLES[intent['object']]} is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, you must provide a "
            "`return_url`. If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
            "`never` when creating Setup Intents and Payment Intents."
        )


def check_confirming(kind: str, sent: set[str], *, confirms: bool) -> None:
    """Refuse parameters that only a confirmation takes."""
    if sent and not confirms:
        name = min(sent)
        raise InvalidRequestError(
            f"You cannot specify `{name}` unless you are confirming the {TITLES[kind]} by setting `confirm=true`.",
            param=name,
        )


def refuse_if_of_checkout(intent: Object, done: str) -> None:
    """Refuse to do to an intent what only its Checkout session may do."""
    if intent.get("_session"):
        raise unexpected_state(
            intent,
            f"You cannot have this {TITLES[intent['object']]} {done}: it was created by a Checkout Session. Use the "
            "Checkout Session, or expire it, instead.",
        )


def wants_authentication(intent: Object) -> bool:
    """Tell whether the server asked for 3-D Secure."""
    return intent["payment_method_options"].get("card", {}).get("request_three_d_secure") in ("any", "challenge")


def ask_for_action(call: Call, intent: Object, return_url: str | None) -> Object:
    """Put an intent where it waits for its customer to answer the bank."""
    url = f"{call.base_url}/c/authenticate/{intent['id']}?client_secret={intent['client_secret']}"
    if return_url:
        action: Object = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    else:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}
    return call.put(intent, status="requires_action", next_action=action)
