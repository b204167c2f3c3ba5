"""The sandbox's own switches and views, under /sandbox: nothing of it is Stripe's."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.books import books
from deploy.stripe_sandbox.checkout import follow_intent
from deploy.stripe_sandbox.confirmation import end_debit
from deploy.stripe_sandbox.deliveries import Attempt
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.events import as_shown, emit, prepare_delivery
from deploy.stripe_sandbox.faults import Fault
from deploy.stripe_sandbox.injection import injected_object
from deploy.stripe_sandbox.sandbox import Sandbox
from deploy.stripe_sandbox.webhook_faults import WebhookSwitches

router = APIRouter(prefix="/sandbox", tags=["sandbox"])


def the_sandbox(request: Request) -> Sandbox:
    """Give the sandbox of this application."""
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


TheSandbox = Annotated[Sandbox, Depends(the_sandbox)]


class Body(BaseModel):
    """A switch's body; a name it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultRules(Body):
    """The rules by which calls go wrong; they replace all former ones."""

    faults: list[Fault]


class Redelivery(Body):
    """How often an event is sent again."""

    times: int = Field(1, ge=1, le=1000)
    concurrently: bool = False


class Forgery(Body):
    """What is wrong with the signature of one more delivery."""

    timestamp_offset_s: int = 0
    secret: str | None = None


class InjectedEvent(Body):
    """An event of the tester's making: about no object of ours (`object`), or about a changed one (`like`)."""

    type: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)+$")
    like: str | None = None
    object: dict[str, Any] = {}
    livemode: bool = False


class SearchLag(Body):
    """How far behind a search is."""

    lag_s: float = Field(ge=0)


class DebitEnd(Body):
    """How a bank debit ends."""

    outcome: Literal["succeeded", "failed"]


@router.get("/health")
async def health(sandbox: TheSandbox) -> dict[str, Any]:
    """Say that the sandbox answers, and what time it has."""
    return {"ready": True, "now": sandbox.clock.now()}


@router.get("/books")
async def show_books(sandbox: TheSandbox) -> Object:
    """Give every payment and refund with the totals per currency."""
    return books(sandbox.records)


@router.get("/requests")
async def show_requests(sandbox: TheSandbox, after: int = 0) -> dict[str, Any]:
    """Give what was asked and answered since exchange `after`, as far as it is remembered."""
    return {"data": [asdict(exchange) for exchange in sandbox.requests.after(after)]}


@router.get("/requests/{request_id}")
async def show_request(sandbox: TheSandbox, request_id: str) -> dict[str, Any]:
    """Give one exchange."""
    exchange = sandbox.requests.find(request_id)
    if exchange is None:
        raise HTTPException(404, "No such request, or it is forgotten.")
    return asdict(exchange)


@router.get("/events")
async def show_events(sandbox: TheSandbox, after: str | None = None) -> dict[str, Any]:
    """Give every event, or those after one, oldest first."""
    call = sandbox.begin()
    if after is not None:
        _event(sandbox, after)
    events = sandbox.records.oldest_first("event", newer_than=after)
    return {"data": [shapes.shown(as_shown(call, event)) for event in events]}


@router.post("/events")
async def inject_event(sandbox: TheSandbox, body: InjectedEvent) -> Object:
    """Record and deliver an event about an object that is not in the books, or is there otherwise."""
    with sandbox.change() as call:
        item = injected_object(call, body.type, body.like, body.object)
        event = emit(call, body.type, item)
        event = call.put(event, livemode=body.livemode, request={"id": None, "idempotency_key": None})
    return shapes.shown(event)


@router.post("/events/{event}/redeliver")
async def redeliver(sandbox: TheSandbox, event: str, body: Redelivery) -> dict[str, Any]:
    """Send an event again to all its endpoints, now, whatever the switches say; gives each attempt's outcome."""
    names = _deliveries(sandbox, event) * body.times
    if body.concurrently:
        attempts = list(await asyncio.gather(*(sandbox.dispatcher.attempt(name) for name in names)))
    else:
        attempts = [await sandbox.dispatcher.attempt(name) for name in names]
    return _outcome(attempts)


@router.post("/events/{event}/resend_with")
async def resend_with(sandbox: TheSandbox, event: str, body: Forgery) -> dict[str, Any]:
    """Send an event once more with another signing time or another secret; gives each attempt's outcome."""
    attempts = [
        await sandbox.dispatcher.attempt(name, offset_s=body.timestamp_offset_s, secret=body.secret)
        for name in _deliveries(sandbox, event)
    ]
    return _outcome(attempts)


@router.get("/deliveries")
async def show_deliveries(sandbox: TheSandbox, event: str | None = None) -> dict[str, Any]:
    """Give every delivery, or those of one event, with its last attempts."""
    deliveries = sandbox.records.oldest_first("sandbox.delivery")
    return {"data": [each for each in deliveries if event in (None, each["event"])]}


@router.get("/webhooks")
async def show_webhook_switches(sandbox: TheSandbox) -> WebhookSwitches:
    """Give the switches in force."""
    return sandbox.dispatcher.faults.switches


@router.put("/webhooks")
async def switch_webhooks(sandbox: TheSandbox, switches: WebhookSwitches) -> WebhookSwitches:
    """Put these switches in force in place of all former ones."""
    sandbox.dispatcher.faults.switch(switches)
    return switches


@router.get("/faults")
async def show_faults(sandbox: TheSandbox) -> dict[str, Any]:
    """Give the rules in force and how often each was met."""
    return {"faults": [fault.model_dump() for fault in sandbox.faults.active]}


@router.put("/faults")
async def put_faults(sandbox: TheSandbox, rules: FaultRules) -> dict[str, Any]:
    """Put these rules in force in place of all former ones."""
    sandbox.faults.replace(rules.faults)
    return {"faults": [fault.model_dump() for fault in sandbox.faults.active]}


@router.delete("/faults", status_code=204)
async def clear_faults(sandbox: TheSandbox) -> Response:
    """Let all calls go well again."""
    sandbox.faults.replace([])
    return Response(status_code=204)


@router.put("/search")
async def set_search_lag(sandbox: TheSandbox, lag: SearchLag) -> SearchLag:
    """Put searches so far behind what was written."""
    sandbox.search_lag_s = lag.lag_s
    return lag


@router.post("/payment_intents/{intent}/settle")
async def settle_debit(sandbox: TheSandbox, intent: str, body: DebitEnd) -> Object:
    """End the bank debit of a processing payment intent now."""
    with sandbox.change() as call:
        found = call.records.get("payment_intent", intent)
        if found is None or found["status"] != "processing":
            raise HTTPException(409, "There is no such payment intent that is processing.")
        ended = end_debit(call, found, succeeded=body.outcome == "succeeded")
        follow_intent(call, ended)
    return shapes.shown(ended)


def _event(sandbox: Sandbox, name: str) -> Object:
    event = sandbox.records.get("event", name)
    if event is None:
        raise HTTPException(404, "No such event.")
    return event


def _deliveries(sandbox: Sandbox, event: str) -> list[str]:
    """Give the event's deliveries; one to every endpoint that there is, for an event that nobody listened to."""
    found = _event(sandbox, event)
    if found["_deliveries"]:
        return list(found["_deliveries"])
    call = sandbox.begin()
    endpoints = list(call.records.oldest_first("webhook_endpoint"))
    names = [prepare_delivery(call, event, endpoint)["id"] for endpoint in endpoints]
    call.put(found, _deliveries=names)
    sandbox.records.commit()
    return names


def _outcome(attempts: list[Attempt]) -> dict[str, Any]:
    return {"attempts": [asdict(attempt) for attempt in attempts]}
