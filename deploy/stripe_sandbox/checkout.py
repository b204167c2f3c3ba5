"""Checkout sessions: something is paid for, or a card is kept, on a page that the sandbox shows itself."""

from typing import Any

from deploy.stripe_sandbox import confirmation, setup_confirmation, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.checkout_lines import redeem, sold
from deploy.stripe_sandbox.checkout_parameters import (
    LONGEST_LIFE_S,
    SessionCreate,
    SessionList,
    SessionUpdate,
    check_session,
)
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.intents import CONFIRMABLE
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import Params, merged
from deploy.stripe_sandbox.routes import Routes
from deploy.stripe_sandbox.setup_intents import new_setup_intent

routes = Routes()

PLAIN = ("success_url", "cancel_url", "allow_promotion_codes", "billing_address_collection", "client_reference_id",
         "customer", "customer_email", "locale", "submit_type")  # fmt: skip


@routes.post("/v1/checkout/sessions")
def create_session(call: Call, params: SessionCreate) -> Object:
    """Make a session and the page on which it can be completed."""
    check_session(call, params)
    name = new_id("cs_test", 58)
    expires_at = params.expires_at or call.now + LONGEST_LIFE_S
    own = _selling(call, params) if params.mode == "payment" else _keeping(call, params, name)
    session = shapes.checkout_session(
        name,
        created=call.now,
        mode=params.mode,
        customer_details=_customer_details(call, params),
        customer_creation=None if params.customer else params.customer_creation or "if_required",
        expires_at=expires_at,
        metadata=merged({}, params.metadata),
        url=f"{call.base_url}/c/pay/{name}",
        **params.given(*PLAIN),
    )
    call.schedule("expire_session", name, at=expires_at)
    return call.put(session, **own)


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
    """End a session that nobody has completed."""
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
    if intent and intent["status"] in CONFIRMABLE:
        confirmation.cancel(call, intent, "expired")
    setup = call.records.get("setup_intent", session["setup_intent"] or "")
    if setup and setup["status"] in CONFIRMABLE:
        setup_confirmation.cancel(call, setup, "abandoned")
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
        state = "paid" if session["mode"] == "payment" else "no_payment_required"
        return _completed(call, session, was_open=was_open, payment_status=state)
    if intent["status"] == "processing" and was_open:
        return _completed(call, session, was_open=True)
    if not was_open:
        emit(call, "checkout.session.async_payment_failed", session)
    return session


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


def _completed(call: Call, session: Object, *, was_open: bool, **changes: Any) -> Object:
    done = call.put(session, status="complete", url=None, **changes)
    emit(call, "checkout.session.completed" if was_open else "checkout.session.async_payment_succeeded", done)
    if was_open:
        redeem(call, done)
    return done


def _selling(call: Call, params: SessionCreate) -> Object:
    fields = sold(call, params)
    kinds = ["card", "us_bank_account"] if fields["currency"] == "usd" else ["card"]
    data = params.payment_intent_data.model_dump(exclude_none=True)
    return {**fields, "payment_method_types": kinds, "_intent_data": data}


def _keeping(call: Call, params: SessionCreate, name: str) -> Object:
    data = params.setup_intent_data.model_dump(exclude_none=True)
    intent = call.put(new_setup_intent(call, customer=params.customer, **data), _session=name)
    return {
        "currency": params.currency,
        "payment_status": "no_payment_required",
        "payment_method_types": ["card"],
        "setup_intent": intent["id"],
        "_line_items": [],
    }


def _customer_details(call: Call, params: SessionCreate) -> Object | None:
    customer = call.records.get("customer", params.customer or "")
    email = customer["email"] if customer else params.customer_email
    return customer_details(email=email, name=None) if email else None
