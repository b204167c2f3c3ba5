"""Objects for events of the tester's making."""

from collections.abc import Callable

from fastapi import HTTPException

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.ids import new_id

Shape = Callable[..., Object]

SHAPES: dict[str, tuple[str, Shape]] = {
    "payment_intent": ("pi", shapes.payment_intent),
    "charge": ("ch", shapes.charge),
    "refund": ("re", shapes.refund),
    "customer": ("cus", shapes.customer),
    "payment_method": ("pm", shapes.payment_method),
    "product": ("prod", shapes.product),
    "price": ("price", shapes.price),
    "checkout.session": ("cs_test", shapes.checkout_session),
    "dispute": ("du", shapes.dispute),
    "radar.early_fraud_warning": ("issfr", shapes.early_fraud_warning),
    "setup_intent": ("seti", shapes.setup_intent),
    "coupon": ("coupon", shapes.coupon),
    "promotion_code": ("promo", shapes.promotion_code),
}
TOLD_OF_CHARGES = {"charge.refund.": "refund", "charge.dispute.": "dispute"}


def injected_object(call: Call, event_type: str, like: str | None, changes: Object) -> Object:
    """Give an object that is in nobody's books: one `like` another or a fresh one, with these changes.

    An event type of which the sandbox has no objects takes one that says its own `object` and `id`.
    """
    kind = _kind(event_type)
    if kind is None:
        if {"object", "id"} <= changes.keys():
            return changes
        raise HTTPException(422, f"The sandbox has no object for {event_type}: give one with its `object` and `id`.")
    prefix, shape = SHAPES[kind]
    if like is None:
        return {**shape(new_id(prefix), created=call.now), **changes}
    found = call.records.get(kind, like)
    if found is None:
        raise HTTPException(404, f"There is no {kind} {like}.")
    return {**found, **changes}


def _kind(event_type: str) -> str | None:
    """Say what an event type speaks of: payment_intent.succeeded of a payment_intent."""
    for prefix, kind in TOLD_OF_CHARGES.items():
        if event_type.startswith(prefix):
            return kind
    kinds = (kind for kind in SHAPES if event_type.startswith(f"{kind}."))
    return max(kinds, key=len, default=None)
