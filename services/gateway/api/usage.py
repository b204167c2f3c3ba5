"""Usage events over HTTP, for services that do not speak Kafka."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from libs.chassis.broker.producer import Producer
from libs.chassis.telemetry import traceparent
from libs.contracts.envelope import CloudEvent
from libs.contracts.http.gateway_v1 import EventsAccepted
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.domain import usage as rules
from services.gateway.domain.principals import KeyHolder
from services.gateway.operations import usage

_EVENT = CloudEvent.model_json_schema()
_BATCH = {"type": "array", "items": _EVENT, "maxItems": rules.LARGEST_BATCH}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            rules.SINGLE: {"schema": _EVENT},
            rules.BATCH: {"schema": _BATCH},
            rules.EITHER: {"schema": {"oneOf": [_EVENT, _BATCH]}},
        },
    }
}

_PATHS = (
    ("/v1/events", "reportUsage", "Report usage"),
    ("/api/v1/events", "reportUsageAsOpenMeter", "Report usage, at OpenMeter's path"),
)


def routes(door: Door, producer: Producer) -> APIRouter:
    """Make the routes by which services report usage; the second path is OpenMeter's, for clients that know it."""
    router = APIRouter(tags=["usage"])
    reporter = door.key_with("usage:write")

    async def report(request: Request, reporter: Annotated[KeyHolder, Depends(reporter)]) -> EventsAccepted:
        """Report usage: one CloudEvent or a batch; its `type` is the meter, its `subject` the account.

        All events are taken or none. 202 says that the broker has them; an event sent again counts once.
        """
        body = await request.body()
        form = request.headers.get("content-type", rules.EITHER)
        reports = rules.read_reports(body, form, reporter=reporter, traceparent=traceparent.get())
        return EventsAccepted(accepted=await usage.publish(producer, reports))

    for path, operation_id, summary in _PATHS:
        router.add_api_route(
            path,
            report,
            methods=["POST"],
            operation_id=operation_id,
            summary=summary,
            status_code=202,
            openapi_extra=_BODY,
            responses=problems(401, 403, 413, 422),
        )
    return router
