"""Payment intents: one payment from its first idea to its end."""

from typing import Annotated, Any, Literal

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.amounts import check_amount
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.confirmation import cancel, confirm
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.intents import (
    AutomaticPaymentMethods,
    PaymentMethodOptions,
    Returning,
    as_seen,
    automatic,
    check_cancelable,
    check_changeable,
    check_confirmable,
    check_confirming,
    check_fits,
    check_has_method,
    check_return_url,
    check_secret,
    refuse_if_of_checkout,
)
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
ONLY_WHEN_CONFIRMING = {"return_url", "off_session", "error_on_requires_action", "use_stripe_sdk"}
SEARCHED = frozenset({"amount", "created", "currency", "customer", "status"})
SEEN_BY_BROWSERS = (
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at", "cancellation_reason",
    "capture_method", "client_secret", "confirmation_method", "created", "currency", "description",
    "last_payment_error", "livemode", "next_action", "payment_method", "payment_method_configuration_details",
    "payment_method_types", "processing", "receipt_email", "setup_future_usage", "shipping", "status",
)  # fmt: skip


class IntentFields(Params):
    """What creating, updating and confirming an intent have in common."""

    payment_method: Text | None = None
    payment_method_options: PaymentMethodOptions | None = None
    receipt_email: ClearableText = None
    setup_future_usage: Annotated[Literal["off_session", "on_session"] | None, Clearable] = None
    shipping: Annotated[Shipping | None, Clearable] = None


class Confirming(Returning):
    """How an intent is to be confirmed."""

    error_on_requires_action: Flag = False
    off_session: OffSession = False


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
    check_confirming("payment_intent", ONLY_WHEN_CONFIRMING & params.model_fields_set, confirms=params.confirm)
    if params.customer:
        call.named("customer", params.customer, "customer")
    intent = new_intent(
        call,
        amount=params.amount,
        currency=params.currency,
        automatic_payment_methods=automatic(params.automatic_payment_methods),
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
    check_secret(call, found, params.client_secret)
    return as_seen(call, found, SEEN_BY_BROWSERS)


@routes.post("/v1/payment_intents/{intent}")
def update_intent(call: Call, params: IntentUpdate, intent: str) -> Object:
    """Change an intent."""
    before = call.find("payment_intent", intent)
    check_changeable(before, params.model_fields_set)
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
    check_secret(call, found, params.client_secret)
    refuse_if_of_checkout(found, "confirmed")
    check_confirmable(found)
    changed = call.put(found, **_plain(params))
    if params.payment_method:
        changed = _with_method(call, changed, params.payment_method)
    return as_seen(call, _confirmed(call, changed, params), SEEN_BY_BROWSERS)


@routes.post("/v1/payment_intents/{intent}/cancel")
def cancel_intent(call: Call, params: IntentCancel, intent: str) -> Object:
    """Cancel an intent that has not been paid."""
    found = call.find("payment_intent", intent)
    check_cancelable(found)
    refuse_if_of_checkout(found, "canceled")
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


def _with_method(call: Call, intent: Object, name: str) -> Object:
    method = chosen_method(call, name)
    check_fits(intent, method)
    return call.put(intent, payment_method=method["id"], status="requires_confirmation", next_action=None)


def _confirmed(call: Call, intent: Object, params: IntentCreate | IntentConfirm) -> Object:
    check_has_method(intent)
    if not params.off_session:
        check_return_url(call, intent, params)
    return confirm(
        call,
        intent,
        call.named("payment_method", intent["payment_method"], "payment_method"),
        return_url=params.return_url,
        off_session=params.off_session,
        stop_at_action=params.error_on_requires_action,
    )
