"""What a Checkout session is asked to be, and what cannot be asked together."""

from typing import Annotated, Literal

from pydantic import Field

from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError
from deploy.stripe_sandbox.lists import ListParams
from deploy.stripe_sandbox.params import (
    ClearableMetadata,
    Created,
    Currency,
    Flag,
    Listed,
    Metadata,
    Params,
    Part,
    Shipping,
    Text,
    Whole,
)
from deploy.stripe_sandbox.payment_intents import Descriptor

SHORTEST_LIFE_S = 30 * 60
LONGEST_LIFE_S = 24 * 3600

ONLY_FOR = {
    "payment": ("line_items", "payment_intent_data", "invoice_creation", "submit_type", "discounts",
                "allow_promotion_codes"),
    "setup": ("setup_intent_data",),
}  # fmt: skip
NEVER_TOGETHER = (
    ("customer", "customer_email"),
    ("customer", "customer_creation"),
    ("allow_promotion_codes", "discounts"),
)


class InlineProduct(Part):
    """A product made for one session."""

    name: Text
    description: Text | None = None
    metadata: Metadata = {}
    unit_label: Text | None = None


class InlinePrice(Part):
    """A price made for one session."""

    currency: Currency
    unit_amount: Annotated[Whole, Field(ge=0)]
    product: Text | None = None
    product_data: InlineProduct | None = None


class LineItem(Part):
    """One thing bought."""

    price: Text | None = None
    price_data: InlinePrice | None = None
    quantity: Annotated[Whole, Field(ge=1)] = 1
    metadata: Metadata = {}


class IntentData(Part):
    """What the session's payment intent is to carry."""

    capture_method: Literal["automatic", "automatic_async"] = "automatic_async"
    description: Text | None = None
    metadata: Metadata = {}
    receipt_email: Text | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    shipping: Shipping | None = None
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class SetupData(Part):
    """What the session's setup intent is to carry."""

    description: Text | None = None
    metadata: Metadata = {}


class Discount(Part):
    """What makes a session cheaper: a coupon, or a promotion code by its id."""

    coupon: Text | None = None
    promotion_code: Text | None = None


class Switch(Part):
    """Something that can be on; the sandbox plays it only off."""

    enabled: Flag


class SessionCreate(Params):
    """A new session, in which something is paid for or a card is kept for later."""

    mode: Literal["payment", "setup"]
    success_url: Text
    line_items: Annotated[tuple[LineItem, ...], Listed, Field(min_length=1, max_length=100)] | None = None
    cancel_url: Text | None = None
    ui_mode: Literal["hosted_page"] = "hosted_page"
    allow_promotion_codes: Flag | None = None
    automatic_tax: Switch | None = None
    billing_address_collection: Literal["auto", "required"] | None = None
    client_reference_id: Annotated[Text, Field(max_length=200)] | None = None
    currency: Currency | None = None
    customer: Text | None = None
    customer_creation: Literal["always", "if_required"] | None = None
    customer_email: Text | None = None
    discounts: Annotated[tuple[Discount, ...], Listed, Field(max_length=1)] | None = None
    expires_at: Whole | None = None
    invoice_creation: Switch | None = None
    locale: Text | None = None
    metadata: Metadata = {}
    payment_intent_data: IntentData = IntentData()
    setup_intent_data: SetupData = SetupData()
    submit_type: Literal["auto", "book", "donate", "pay"] | None = None


class SessionUpdate(Params):
    """A change of what is noted beside a session."""

    metadata: ClearableMetadata = {}


class SessionList(ListParams):
    """What a list of sessions can be narrowed by."""

    created: Created | None = None
    customer: Text | None = None
    payment_intent: Text | None = None
    status: Literal["complete", "expired", "open"] | None = None


def check_session(call: Call, params: SessionCreate) -> None:
    """Refuse what does not go together, does not exist, or is not played."""
    _check_mode(params)
    for names in NEVER_TOGETHER:
        if all(getattr(params, name) for name in names):
            raise InvalidRequestError(f"You may only specify one of these parameters: {', '.join(names)}.")
    if params.customer:
        call.named("customer", params.customer, "customer")
    for name in ("automatic_tax", "invoice_creation"):
        switch: Switch | None = getattr(params, name)
        if switch and switch.enabled:
            raise InvalidRequestError(f"The sandbox does not play {name}.", param=f"{name}[enabled]")
    life = (params.expires_at or call.now + LONGEST_LIFE_S) - call.now
    if not SHORTEST_LIFE_S <= life <= LONGEST_LIFE_S:
        raise InvalidRequestError(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session "
            "creation.",
            param="expires_at",
        )


def _check_mode(params: SessionCreate) -> None:
    for mode, names in ONLY_FOR.items():
        for name in names:
            if mode != params.mode and name in params.model_fields_set:
                raise InvalidRequestError(f"You can not pass `{name}` in `{params.mode}` mode.", param=name)
    needed = "line_items" if params.mode == "payment" else "currency"
    if getattr(params, needed) is None:
        raise InvalidRequestError(f"Missing required param: {needed}.", code="parameter_missing", param=needed)
