"""What happened, told: events, and which webhook endpoint is to hear of each."""

from typing import Annotated

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import Created, Flag, Params, Text, Texts
from deploy.stripe_sandbox.routes import Routes
from deploy.stripe_sandbox.settings import API_VERSION

KEPT_S = 30 * 24 * 3600
"""Stripe gives events back for 30 days."""

routes = Routes()


def emit(call: Call, kind: str, item: Object, *, previous: Object | None = None) -> Object:
    """Record that something happened to an object, as the object now is, and prepare its deliveries.

    `previous` holds the former values of what an update changed.
    """
    data: Object = {"object": shapes.shown(item)}
    if previous is not None:
        data["previous_attributes"] = previous
    name = new_id("evt")
    deliveries = [prepare_delivery(call, name, endpoint) for endpoint in _listening(call, kind)]
    return call.put(
        shapes.event(name, created=call.now),
        api_version=API_VERSION,
        data=data,
        pending_webhooks=len(deliveries),
        request={"id": call.request_id, "idempotency_key": call.idempotency_key},
        type=kind,
        _deliveries=[delivery["id"] for delivery in deliveries],
    )


def prepare_delivery(call: Call, event: str, endpoint: Object) -> Object:
    """Record that an endpoint is to hear of an event; it is sent once the change is committed."""
    delivery = {
        "object": "sandbox.delivery",
        "id": new_id("del"),
        "event": event,
        "endpoint": endpoint["id"],
        "created": call.now,
        "state": "pending",
        "tries": 0,
        "attempts": [],
    }
    call.deliveries.append(delivery["id"])
    return call.put(delivery)


def changed(before: Object, after: Object) -> Object:
    """Give the former values of what differs, as `previous_attributes` wants them."""
    old, new = shapes.shown(before), shapes.shown(after)
    return {name: old.get(name) for name in new if old.get(name) != new[name]}


def as_shown(call: Call, event: Object) -> Object:
    """Give an event with the number of deliveries that nobody has confirmed yet."""
    return {**event, "pending_webhooks": _unconfirmed(call, event)}


def _unconfirmed(call: Call, event: Object) -> int:
    deliveries = (call.records.get("sandbox.delivery", name) for name in event["_deliveries"])
    return sum(delivery is not None and delivery["state"] != "delivered" for delivery in deliveries)


def _listening(call: Call, kind: str) -> list[Object]:
    return [
        endpoint
        for endpoint in call.records.oldest_first("webhook_endpoint")
        if endpoint["status"] == "enabled" and {"*", kind} & set(endpoint["enabled_events"])
    ]


class EventList(ListParams):
    """What a list of events can be narrowed by."""

    created: Created | None = None
    delivery_success: Flag | None = None
    type: Text | None = None
    types: Annotated[Texts, Field(max_length=20)] = ()


@routes.get("/v1/events")
def list_events(call: Call, params: EventList) -> Object:
    """List what happened in the last 30 days."""
    if params.type and params.types:
        raise InvalidRequestError("You may only specify one of these parameters: type, types.", param="type")

    def wanted(event: Object) -> bool:
        return (
            event["created"] > call.now - KEPT_S
            and (params.created is None or params.created.holds(event["created"]))
            and _is_of_type(event["type"], params)
            and (params.delivery_success is None or params.delivery_success == (_unconfirmed(call, event) == 0))
        )

    return page(call, "event", params, where=wanted, url="/v1/events", shape=lambda event: as_shown(call, event))


def _is_of_type(kind: str, params: EventList) -> bool:
    if params.types:
        return kind in params.types
    if params.type and params.type.endswith("*"):
        return kind.startswith(params.type[:-1])
    return params.type in (None, kind)


@routes.get("/v1/events/{event}")
def retrieve_event(call: Call, _params: Params, event: str) -> Object:
    """Give one event."""
    return as_shown(call, call.find("event", event))
