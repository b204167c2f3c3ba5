"""Payment intents: one payment from its first idea to its end."""

from typing import Annotated, Any, Literal

from pydantic import Field

from deploy.stripe_sandbox import money, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.confirmation import CANCELABLE, CONFIRMABLE, cancel, check_fits, confirm, unexpected_state
from deploy.stripe_sandbox.errors import InvalidRequestError, NotFoundError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import (
    Clearable,
    ClearableMetadata,
    ClearableText,
    Created,
    Currency,
    Flag,
    Metadata,
    OffSession,
    Params,
    Part,
    Shipping,
    Text,
    Texts,
    Whole,
    merged,
)
from deploy.stripe_sandbox.payment_methods import chosen_method
from deploy.stripe_sandbox.routes import Routes
from deploy.stripe_sandbox.search import SearchParams, search

routes = Routes()

Descriptor = Annotated[Text, Field(max_length=22)]
PLAIN = ("description", "receipt_email", "shipping", "statement_descriptor", "statement_descriptor_suffix")
SEARCHED = frozenset({"amount", "created", "currency", "customer", "status"})
SEEN_BY_BROWSERS = (
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at", "cancellation_reason",
    "capture_method", "client_secret", "confirmation_method", "created", "currency", "description",
    "last_payment_error", "livemode", "next_action", "payment_method", "payment_method_configuration_details",
    "payment_method_types", "processing", "receipt_email", "setup_future_usage", "shipping", "status",
)  # fmt: skip


class AutomaticPaymentMethods(Part):
    """Whether Stripe chooses the methods, and whether they may lead the customer away."""

    enabled: Flag
    allow_redirects: Literal["always", "never"] = "always"


class CardOptions(Part):
    """How a card is to be charged."""

    request_three_d_secure: Literal["any", "automatic", "challenge"] = "automatic"


class PaymentMethodOptions(Part):
    """How each kind of method is to be charged."""

    card: CardOptions | None = None


class IntentFields(Params):
    """What creating, updating and confirming an intent have in common."""

    payment_method: Text | None = None
    payment_method_options: PaymentMethodOptions | None = None
    receipt_email: ClearableText = None
    setup_future_usage: Annotated[Literal["off_session", "on_session"] | None, Clearable] = None
    shipping: Annotated[Shipping | None, Clearable] = None


class Confirming(Params):
    """How an intent is to be confirmed."""

    error_on_requires_action: Flag = False
    off_session: OffSession = False
    return_url: Text | None = None
    use_stripe_sdk: Flag = False


class IntentCreate(IntentFields, Confirming):
    """A new intent, confirmed at once if asked for."""

    amount: Whole
    currency: Currency
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    capture_method: Literal["automatic", "automatic_async"] = "automatic_async"
    confirm: Flag = False
    confirmation_method: Literal["automatic"] = "automatic"
    customer: Text | None = None
    description: Text | None = None
    excluded_payment_method_types: Texts | None = None
    metadata: Metadata = {}
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class IntentUpdate(IntentFields):
    """A change of an intent that has not been paid."""

    amount: Whole | None = None
    currency: Currency | None = None
    customer: Text | None = None
    description: ClearableText = None
    metadata: ClearableMetadata = {}
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class IntentConfirm(IntentFields, Confirming):
    """The confirmation of an intent, by a server or by a browser."""

    client_secret: Text | None = None


class IntentRetrieve(Params):
    """What a browser shows to see an intent."""

    client_secret: Text | None = None


class IntentCancel(Params):
    """Why an intent is canceled."""

    cancellation_reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None = None


class IntentList(ListParams):
    """What a list of intents can be narrowed by."""

    created: Created | None = None
    customer: Text | None = None


@routes.post("/v1/payment_intents")
def create_intent(call: Call, params: IntentCreate) -> Object:
    """Make an intent, and confirm it if asked for."""
    check_amount(params.amount, params.currency)
    _check_confirming_parameters(params)
    if params.customer:
        call.named("customer", params.customer, "customer")
    intent = new_intent(
        call,
        amount=params.amount,
        currency=params.currency,
        automatic_payment_methods=_automatic(params.automatic_payment_methods),
        capture_method=params.capture_method,
        customer=params.customer,
        excluded_payment_method_types=params.excluded_payment_method_types,
        metadata=merged({}, params.metadata),
        **_plain(params),
    )
    if params.payment_method:
        intent = _with_method(call, intent, params.payment_method)
    return _confirmed(call, intent, params) if params.confirm else intent


@routes.get("/v1/payment_intents/search")
def search_intents(call: Call, params: SearchParams) -> Object:
    """Find intents by metadata, customer, status, amount, currency or age."""
    return search(call, "payment_intent", params, fields=SEARCHED, url="/v1/payment_intents/search")


@routes.get("/v1/payment_intents/{intent}", publishable=True)
def retrieve_intent(call: Call, params: IntentRetrieve, intent: str) -> Object:
    """Give an intent; to a browser that knows its secret, what concerns a browser."""
    found = call.find("payment_intent", intent)
    _check_secret(call, found, params.client_secret)
    return _as_seen(call, found)


@routes.post("/v1/payment_intents/{intent}")
def update_intent(call: Call, params: IntentUpdate, intent: str) -> Object:
    """Change an intent."""
    before = call.find("payment_intent", intent)
    if before["status"] not in CONFIRMABLE and params.model_fields_set - {"metadata", "description", "expand"}:
        raise unexpected_state(
            before,
            f"This PaymentIntent could not be updated because it has a status of {before['status']}. You may only "
            f"update a PaymentIntent with one of the following statuses: {', '.join(CONFIRMABLE)}.",
        )
    check_amount(params.amount or before["amount"], params.currency or before["currency"])
    if params.customer:
        call.named("customer", params.customer, "customer")
    changes = {**_plain(params), **params.given("amount", "currency", "customer")}
    after = call.put(before, **changes, metadata=merged(before["metadata"], params.metadata))
    return _with_method(call, after, params.payment_method) if params.payment_method else after


@routes.post("/v1/payment_intents/{intent}/confirm", publishable=True)
def confirm_intent(call: Call, params: IntentConfirm, intent: str) -> Object:
    """Confirm an intent."""
    found = call.find("payment_intent", intent)
    _check_secret(call, found, params.client_secret)
    _check_confirmable(found)
    changed = call.put(found, **_plain(params))
    if params.payment_method:
        changed = _with_method(call, changed, params.payment_method)
    return _as_seen(call, _confirmed(call, changed, params))


@routes.post("/v1/payment_intents/{intent}/cancel")
def cancel_intent(call: Call, params: IntentCancel, intent: str) -> Object:
    """Cancel an intent that has not been paid."""
    found = call.find("payment_intent", intent)
    if found["status"] not in CANCELABLE:
        raise unexpected_state(
            found,
            f"You cannot cancel this PaymentIntent because it has a status of {found['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
        )
    _refuse_if_of_checkout(found, "canceled")
    return cancel(call, found, params.cancellation_reason)


@routes.get("/v1/payment_intents")
def list_intents(call: Call, params: IntentList) -> Object:
    """List intents."""

    def wanted(intent: Object) -> bool:
        return params.customer in (None, intent["customer"]) and (
            params.created is None or params.created.holds(intent["created"])
        )

    return page(call, "payment_intent", params, where=wanted, url="/v1/payment_intents")


def new_intent(call: Call, **given: Any) -> Object:
    """Make an intent that waits for a payment method."""
    name = new_id("pi")
    excluded = given.get("excluded_payment_method_types") or ()
    types = ["card", "us_bank_account"] if given["currency"] == "usd" else ["card"]
    intent = shapes.payment_intent(
        name,
        created=call.now,
        client_secret=new_id(f"{name}_secret", 25),
        payment_method_types=[kind for kind in types if kind not in excluded],
        **given,
    )
    intent = call.put(intent, payment_method_options={**_default_options(), **given.get("payment_method_options", {})})
    emit(call, "payment_intent.created", intent)
    return intent


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that Stripe would not charge."""
    if amount < 1:
        raise InvalidRequestError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > money.LARGEST:
        most = money.shown(money.LARGEST, currency)
        raise InvalidRequestError(f"Amount must be no more than {most}", code="amount_too_large", param="amount")
    least = money.SMALLEST.get(currency, 1)
    if amount < least:
        raise InvalidRequestError(
            f"Amount must be at least {money.shown(least, currency)}", code="amount_too_small", param="amount"
        )
    if currency in money.WITH_THREE_DECIMALS and amount % 10:
        raise InvalidRequestError(f"The last digit of an amount in {currency} must be 0.", param="amount")


def _default_options() -> Object:
    return {
        "card": {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        }
    }


def _plain(params: IntentFields) -> Object:
    given = params.given(*PLAIN, "setup_future_usage")
    if params.payment_method_options and params.payment_method_options.card:
        options = _default_options()
        options["card"].update(params.payment_method_options.card.model_dump())
        given["payment_method_options"] = options
    return given


def _automatic(chosen: AutomaticPaymentMethods | None) -> Object:
    return (chosen or AutomaticPaymentMethods.model_validate({"enabled": "true"})).model_dump()


def _with_method(call: Call, intent: Object, name: str) -> Object:
    method = chosen_method(call, name)
    check_fits(intent, method)
    return call.put(intent, payment_method=method["id"], status="requires_confirmation", next_action=None)


def _check_confirming_parameters(params: IntentCreate) -> None:
    sent = {"return_url", "off_session", "error_on_requires_action", "use_stripe_sdk"} & params.model_fields_set
    if sent and not params.confirm:
        name = min(sent)
        raise InvalidRequestError(
            f"You cannot specify `{name}` unless you are confirming the PaymentIntent by setting `confirm=true`.",
            param=name,
        )


def _check_confirmable(intent: Object) -> None:
    _refuse_if_of_checkout(intent, "confirmed")
    if intent["status"] == "succeeded":
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            intent,
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be confirmed: {', '.join(CONFIRMABLE)}.",
        )


def _confirmed(call: Call, intent: Object, params: IntentCreate | IntentConfirm) -> Object:
    if intent["payment_method"] is None:
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method.",
        )
    _check_return_url(call, intent, params)
    return confirm(
        call,
        intent,
        call.named("payment_method", intent["payment_method"], "payment_method"),
        return_url=params.return_url,
        off_session=params.off_session,
        stop_at_action=params.error_on_requires_action,
    )


def _check_return_url(call: Call, intent: Object, params: Confirming) -> None:
    automatic = intent["automatic_payment_methods"]
    may_redirect = automatic["enabled"] and automatic["allow_redirects"] == "always"
    if may_redirect and not (params.return_url or params.use_stripe_sdk or params.off_session or call.publishable):
        raise InvalidRequestError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents."
        )


def _check_secret(call: Call, intent: Object, secret: str | None) -> None:
    is_right = secret == intent["client_secret"] if secret is not None else not call.publishable
    if not is_right:
        raise NotFoundError("payment_intent", intent["id"], param="intent")


def _as_seen(call: Call, intent: Object) -> Object:
    return {name: intent[name] for name in SEEN_BY_BROWSERS} if call.publishable else intent


def _refuse_if_of_checkout(intent: Object, done: str) -> None:
    if intent.get("_session"):
        raise InvalidRequestError(
            f"You cannot have this PaymentIntent {done}: it was created by a Checkout Session. Use the Checkout "
            "Session, or expire it, instead.",
            code="payment_intent_unexpected_state",
            payment_intent=shapes.shown(intent),
        )
