"""Setup intents: cards kept for later payments, for which nobody need be there."""

from typing import Annotated, Any, Literal

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
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
    ClearableMetadata,
    ClearableText,
    Created,
    Flag,
    Listed,
    Metadata,
    Params,
    Text,
    merged,
)
from deploy.stripe_sandbox.payment_methods import chosen_method
from deploy.stripe_sandbox.routes import Routes
from deploy.stripe_sandbox.setup_confirmation import cancel, confirm

routes = Routes()

SEEN_BY_BROWSERS = (
    "id", "object", "automatic_payment_methods", "cancellation_reason", "client_secret", "created", "description",
    "last_setup_error", "livemode", "next_action", "payment_method", "payment_method_configuration_details",
    "payment_method_types", "status", "usage",
)  # fmt: skip


class SetupCreate(Returning):
    """A new setup intent, confirmed at once if asked for."""

    allowed_payment_method_types: Annotated[tuple[Literal["card"], ...], Listed] | None = None
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    confirm: Flag = False
    customer: Text | None = None
    description: Text | None = None
    metadata: Metadata = {}
    payment_method: Text | None = None
    payment_method_options: PaymentMethodOptions | None = None
    usage: Literal["off_session", "on_session"] = "off_session"


class SetupUpdate(Params):
    """A change of a setup intent that has not been confirmed."""

    customer: Text | None = None
    description: ClearableText = None
    metadata: ClearableMetadata = {}
    payment_method: Text | None = None
    payment_method_options: PaymentMethodOptions | None = None


class SetupConfirm(Returning):
    """The confirmation of a setup intent, by a server or by a browser."""

    client_secret: Text | None = None
    payment_method: Text | None = None
    payment_method_options: PaymentMethodOptions | None = None


class SetupRetrieve(Params):
    """What a browser shows to see a setup intent."""

    client_secret: Text | None = None


class SetupCancel(Params):
    """Why a setup intent is canceled."""

    cancellation_reason: Literal["abandoned", "duplicate", "requested_by_customer"] | None = None


class SetupList(ListParams):
    """What a list of setup intents can be narrowed by."""

    created: Created | None = None
    customer: Text | None = None
    payment_method: Text | None = None


@routes.post("/v1/setup_intents")
def create_setup_intent(call: Call, params: SetupCreate) -> Object:
    """Make a setup intent, and confirm it if asked for."""
    check_confirming(
        "setup_intent", {"return_url", "use_stripe_sdk"} & params.model_fields_set, confirms=params.confirm
    )
    if params.customer:
        call.named("customer", params.customer, "customer")
    intent = new_setup_intent(
        call,
        automatic_payment_methods=automatic(params.automatic_payment_methods),
        metadata=merged({}, params.metadata),
        **params.given("allowed_payment_method_types", "customer", "description", "usage"),
    )
    intent = _changed(call, intent, params)
    return _confirmed(call, intent, params) if params.confirm else intent


@routes.get("/v1/setup_intents/{intent}", publishable=True)
def retrieve_setup_intent(call: Call, params: SetupRetrieve, intent: str) -> Object:
    """Give a setup intent; to a browser that knows its secret, what concerns a browser."""
    found = call.find("setup_intent", intent)
    check_secret(call, found, params.client_secret)
    return as_seen(call, found, SEEN_BY_BROWSERS)


@routes.post("/v1/setup_intents/{intent}")
def update_setup_intent(call: Call, params: SetupUpdate, intent: str) -> Object:
    """Change a setup intent."""
    before = call.find("setup_intent", intent)
    check_changeable(before, params.model_fields_set)
    if params.customer:
        call.named("customer", params.customer, "customer")
    given = params.given("customer", "description")
    after = call.put(before, **given, metadata=merged(before["metadata"], params.metadata))
    return _changed(call, after, params)


@routes.post("/v1/setup_intents/{intent}/confirm", publishable=True)
def confirm_setup_intent(call: Call, params: SetupConfirm, intent: str) -> Object:
    """Confirm a setup intent."""
    found = call.find("setup_intent", intent)
    check_secret(call, found, params.client_secret)
    refuse_if_of_checkout(found, "confirmed")
    check_confirmable(found)
    return as_seen(call, _confirmed(call, _changed(call, found, params), params), SEEN_BY_BROWSERS)


@routes.post("/v1/setup_intents/{intent}/cancel")
def cancel_setup_intent(call: Call, params: SetupCancel, intent: str) -> Object:
    """Cancel a setup intent that has not succeeded."""
    found = call.find("setup_intent", intent)
    check_cancelable(found)
    refuse_if_of_checkout(found, "canceled")
    return cancel(call, found, params.cancellation_reason)


@routes.get("/v1/setup_intents")
def list_setup_intents(call: Call, params: SetupList) -> Object:
    """List setup intents."""

    def wanted(intent: Object) -> bool:
        return (
            params.customer in (None, intent["customer"])
            and params.payment_method in (None, intent["payment_method"])
            and (params.created is None or params.created.holds(intent["created"]))
        )

    return page(call, "setup_intent", params, where=wanted, url="/v1/setup_intents")


def new_setup_intent(call: Call, **given: Any) -> Object:
    """Make a setup intent that waits for a card."""
    name = new_id("seti")
    secret = new_id(f"{name}_secret", 25)
    intent = call.put(shapes.setup_intent(name, created=call.now, client_secret=secret, **given))
    emit(call, "setup_intent.created", intent)
    return intent


def _changed(call: Call, intent: Object, params: SetupCreate | SetupUpdate | SetupConfirm) -> Object:
    if params.payment_method_options and params.payment_method_options.card:
        card = {**intent["payment_method_options"]["card"], **params.payment_method_options.card.model_dump()}
        intent = call.put(intent, payment_method_options={"card": card})
    if params.payment_method is None:
        return intent
    method = chosen_method(call, params.payment_method)
    check_fits(intent, method)
    return call.put(intent, payment_method=method["id"], status="requires_confirmation", next_action=None)


def _confirmed(call: Call, intent: Object, params: SetupCreate | SetupConfirm) -> Object:
    check_has_method(intent)
    check_return_url(call, intent, params)
    method = call.named("payment_method", intent["payment_method"], "payment_method")
    return confirm(call, intent, method, return_url=params.return_url)
