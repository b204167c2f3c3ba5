"""Stripe's webhooks: checked on the bytes as they came, kept on disk, then answered 200, whatever happens later."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from libs.chassis.clock import Clock
from libs.chassis.errors import PayloadTooLargeError
from libs.chassis.lean_routes import DirectRoute
from libs.chassis.telemetry import WEBHOOKS, log
from services.gateway.api import problems
from services.gateway.domain.stripe_webhooks import (
    LARGEST_BODY,
    NotAnEventError,
    SignatureInvalidError,
    StripeEvent,
    check_signature,
    read_event,
)
from services.gateway.operations.webhooks import Intake

PATH = "/v1/webhooks/stripe"


class Received(BaseModel):
    """The event is on our disk; Stripe need not send it again."""

    received: Literal[True] = True


_RECEIVED = Received().model_dump_json().encode()


async def signed(stripe_signature: Annotated[str | None, Header()] = None) -> None:
    """Describe the header that the route reads itself."""


def routes(intake: Intake, clock: Clock, *, secrets: Sequence[str], further_paths: Sequence[str]) -> APIRouter:
    """Make the routes that take webhooks."""
    router = APIRouter(tags=["webhooks"], route_class=DirectRoute)

    async def receive(request: Request) -> Response:
        """Take an event of Stripe, of whatever type, if its signature is right; one that was received before, too."""
        body = await _read_body(request)
        try:
            check_signature(request.headers.get("stripe-signature"), body, secrets=secrets, now=clock.now())
            event = read_event(body)
        except SignatureInvalidError as error:
            _refused(error.outcome)
            raise
        except NotAnEventError:
            _refused("malformed")
            raise
        await _keep(intake, event, clock)
        return Response(_RECEIVED, media_type="application/json")

    for path in (PATH, *further_paths):
        router.add_api_route(
            path,
            receive,
            methods=["POST"],
            response_model=Received,
            dependencies=[Depends(signed)],
            operation_id="receiveStripeWebhook" if path == PATH else None,
            summary="Take an event of Stripe",
            include_in_schema=path == PATH,
            responses=problems(400, 413),
        )
    return router


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            _refused("too_large")
            raise PayloadTooLargeError(f"a webhook has at most {LARGEST_BODY} bytes here")
    return bytes(body)


async def _keep(intake: Intake, event: StripeEvent, clock: Clock) -> None:
    """Keep the event, or raise what becomes a 5xx, so that Stripe sends it again."""
    try:
        fresh = await intake.keep(event, now=clock.now())
    except Exception as error:
        WEBHOOKS.labels("not_stored").inc()
        log.error("webhook.not_stored", stripe_event=event.id, type=event.type, error=repr(error))
        raise
    WEBHOOKS.labels("stored" if fresh else "duplicate").inc()
    log.info("webhook.received", stripe_event=event.id, type=event.type, fresh=fresh)


def _refused(outcome: str) -> None:
    WEBHOOKS.labels(outcome).inc()
    log.warning("webhook.refused", outcome=outcome)
