"""Checkout sessions: a payment on a page that the sandbox shows itself."""

from typing import Annotated, Any, Literal

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.catalogue import new_price, new_product
from deploy.stripe_sandbox.confirmation import cancel
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
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
    merged,
)
from deploy.stripe_sandbox.payment_intents import Descriptor, check_amount
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

SHORTEST_LIFE_S = 30 * 60
LONGEST_LIFE_S = 24 * 3600


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


class Switch(Part):
    """Something that can be on; the sandbox plays it only off."""

    enabled: Flag


class SessionCreate(Params):
    """A new session of mode payment."""

    mode: Literal["payment"]
    line_items: Annotated[tuple[LineItem, ...], Listed, Field(min_length=1, max_length=100)]
    success_url: Text
    cancel_url: Text | None = None
    ui_mode: Literal["hosted_page"] = "hosted_page"
    allow_promotion_codes: Flag | None = None
    automatic_tax: Switch | None = None
    billing_address_collection: Literal["auto", "required"] | None = None
    client_reference_id: Annotated[Text, Field(max_length=200)] | None = None
    customer: Text | None = None
    customer_creation: Literal["always", "if_required"] | None = None
    customer_email: Text | None = None
    expires_at: Whole | None = None
    invoice_creation: Switch | None = None
    locale: Text | None = None
    metadata: Metadata = {}
    payment_intent_data: IntentData = IntentData()
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


@routes.post("/v1/checkout/sessions")
def create_session(call: Call, params: SessionCreate) -> Object:
    """Make a session and the page on which it can be paid."""
    _check_parameters(call, params)
    lines = [_line(call, item, place) for place, item in enumerate(params.line_items)]
    total, currency = _total(lines)
    name = new_id("cs_test", 58)
    expires_at = params.expires_at or call.now + LONGEST_LIFE_S
    session = shapes.checkout_session(
        name,
        created=call.now,
        amount_subtotal=total,
        amount_total=total,
        currency=currency,
        customer_details=_customer_details(call, params),
        customer_creation=_customer_creation(params),
        expires_at=expires_at,
        metadata=merged({}, params.metadata),
        payment_method_types=["card", "us_bank_account"] if currency == "usd" else ["card"],
        url=f"{call.base_url}/c/pay/{name}",
        **params.given(
            "success_url",
            "cancel_url",
            "allow_promotion_codes",
            "billing_address_collection",
            "client_reference_id",
            "customer",
            "customer_email",
            "locale",
            "submit_type",
        ),
    )
    call.schedule("expire_session", name, at=expires_at)
    return call.put(session, _line_items=lines, _intent_data=params.payment_intent_data.model_dump(exclude_none=True))


@routes.get("/v1/checkout/sessions")
def list_sessions(call: Call, params: SessionList) -> Object:
    """List sessions."""

    def wanted(session: Object) -> bool:
        return (
            params.customer in (None, session["customer"])
            and params.payment_intent in (None, session["payment_intent"])
            and params.status in (None, session["status"])
            and (params.created is None or params.created.holds(session["created"]))
        )

    return page(call, "checkout.session", params, where=wanted, url="/v1/checkout/sessions")


@routes.get("/v1/checkout/sessions/{session}")
def retrieve_session(call: Call, _params: Params, session: str) -> Object:
    """Give a session."""
    return call.find("checkout.session", session)


@routes.post("/v1/checkout/sessions/{session}")
def update_session(call: Call, params: SessionUpdate, session: str) -> Object:
    """Change a session's metadata."""
    before = call.find("checkout.session", session)
    return call.put(before, metadata=merged(before["metadata"], params.metadata))


@routes.get("/v1/checkout/sessions/{session}/line_items")
def list_line_items(call: Call, params: ListParams, session: str) -> Object:
    """List what a session sells."""
    lines = call.find("checkout.session", session)["_line_items"]
    names = [line["id"] for line in lines]
    start = names.index(params.starting_after) + 1 if params.starting_after in names else 0
    url = f"/v1/checkout/sessions/{session}/line_items"
    return shapes.listing(lines[start : start + params.limit], url=url, has_more=len(lines) > start + params.limit)


@routes.post("/v1/checkout/sessions/{session}/expire")
def expire_session(call: Call, _params: Params, session: str) -> Object:
    """End a session that nobody has paid."""
    found = call.find("checkout.session", session)
    if found["status"] != "open":
        raise InvalidRequestError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{found['status']}`."
        )
    return expire(call, found)


def expire(call: Call, session: Object) -> Object:
    """Close an open session and cancel the intent that it may have begun."""
    intent = call.records.get("payment_intent", session["payment_intent"] or "")
    if intent and intent["status"] not in ("succeeded", "canceled", "processing"):
        cancel(call, intent, "expired")
    closed = call.put(session, status="expired", url=None)
    emit(call, "checkout.session.expired", closed)
    return closed


def follow_intent(call: Call, intent: Object) -> Object | None:
    """Bring the session of an intent to where its intent is; None if the intent has no session."""
    session = call.records.get("checkout.session", intent.get("_session", ""))
    if session is None:
        return None
    was_open = session["status"] == "open"
    if intent["status"] == "succeeded":
        paid = call.put(session, status="complete", payment_status="paid", url=None)
        emit(call, "checkout.session.completed" if was_open else "checkout.session.async_payment_succeeded", paid)
        return paid
    if intent["status"] == "processing" and was_open:
        submitted = call.put(session, status="complete", url=None)
        emit(call, "checkout.session.completed", submitted)
        return submitted
    if not was_open:
        emit(call, "checkout.session.async_payment_failed", session)
    return session


def _check_parameters(call: Call, params: SessionCreate) -> None:
    if params.customer and params.customer_email:
        raise InvalidRequestError("You may only specify one of these parameters: customer, customer_email.")
    if params.customer and params.customer_creation:
        raise InvalidRequestError("You may only specify one of these parameters: customer, customer_creation.")
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


def _line(call: Call, item: LineItem, place: int) -> Object:
    price = _price(call, item, f"line_items[{place}]")
    product = call.named("product", price["product"], f"line_items[{place}][price]")
    amount = price["unit_amount"] * item.quantity
    return shapes.line_item(
        new_id("li"),
        amount_subtotal=amount,
        amount_total=amount,
        currency=price["currency"],
        description=product["name"],
        metadata=item.metadata,
        price=price,
        quantity=item.quantity,
    )


def _price(call: Call, item: LineItem, param: str) -> Object:
    if (item.price is None) == (item.price_data is None):
        raise InvalidRequestError("You must specify either `price` or `price_data` for each line item.", param=param)
    if item.price_data:
        return _inline_price(call, item.price_data, param)
    price = call.named("price", item.price or "", f"{param}[price]")
    if not price["active"]:
        raise InvalidRequestError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{param}[price]"
        )
    if price["type"] != "one_time":
        raise InvalidRequestError(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices."
        )
    return price


def _inline_price(call: Call, data: InlinePrice, param: str) -> Object:
    if (data.product is None) == (data.product_data is None):
        raise InvalidRequestError("You must specify either `product` or `product_data`.", param=f"{param}[price_data]")
    if data.product_data:
        product = new_product(call, None, active=False, **data.product_data.model_dump(exclude_none=True))
    else:
        product = call.named("product", data.product or "", f"{param}[price_data][product]")
    return new_price(call, product, unit_amount=data.unit_amount, currency=data.currency, active=False)


def _total(lines: list[Object]) -> tuple[int, str]:
    currencies = {line["currency"] for line in lines}
    if len(currencies) > 1:
        raise InvalidRequestError("All line items must have the same currency.", param="line_items")
    total, currency = sum(line["amount_total"] for line in lines), lines[0]["currency"]
    check_amount(total, currency)
    return total, currency


def _customer_creation(params: SessionCreate) -> str | None:
    return None if params.customer else params.customer_creation or "if_required"


def _customer_details(call: Call, params: SessionCreate) -> Object | None:
    customer = call.records.get("customer", params.customer or "")
    email = customer["email"] if customer else params.customer_email
    return customer_details(email=email, name=None) if email else None


def customer_details(**known: Any) -> Object:
    """Shape what a session knows of who pays."""
    return {
        "address": None,
        "business_name": None,
        "email": None,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
        **known,
    }
