"""Usage events over HTTP: CloudEvents, one or a batch, taken only if every one of them is good."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from libs.chassis.errors import DomainError, InvalidRequestError, PayloadTooLargeError
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.envelope import LARGEST_EVENT_BYTES, CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from services.gateway.domain.principals import KeyHolder

LARGEST_BATCH = 1000
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EITHER = "application/json"


class MalformedEventsError(DomainError):
    """Some of the events cannot be taken, so none was; `errors` says which and why."""

    code = codes.MALFORMED_EVENT


@dataclass(frozen=True, slots=True)
class UsageReport:
    """A usage event that may be published: the key of its account, and the event as written."""

    key: str
    payload: bytes


def read_reports(body: bytes, content_type: str, *, reporter: KeyHolder, traceparent: str | None) -> list[UsageReport]:
    """Read the events of a request body.

    Raises InvalidRequestError if it holds none, PayloadTooLargeError for too many, and MalformedEventsError with the
    index of every event that is not a usage event or is about an account that the key may not report for. Who spends is
    the key itself, unless a key that may says otherwise.
    """
    good, bad = [], []
    for index, item in enumerate(_items(body, content_type)):
        try:
            good.append(_read(item, reporter, traceparent))
        except ValueError as error:
            bad.append({"index": index, "what": _reason(error)})
    if bad:
        raise MalformedEventsError(errors=bad[:100])
    return good


def _items(body: bytes, content_type: str) -> list[Any]:
    form = content_type.partition(";")[0].strip().lower()
    if form not in (SINGLE, BATCH, EITHER):
        raise InvalidRequestError(f"the Content-Type is one of {SINGLE}, {BATCH} and {EITHER}")
    try:
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    if isinstance(parsed, list) and form != SINGLE:
        if len(parsed) > LARGEST_BATCH:
            raise PayloadTooLargeError(f"a batch has at most {LARGEST_BATCH} events, this one {len(parsed)}")
        return parsed
    if isinstance(parsed, dict) and form != BATCH:
        return [parsed]
    raise InvalidRequestError(
        "the body is one event, a JSON object, or a batch, a JSON array; as its Content-Type says"
    )


def _read(item: Any, reporter: KeyHolder, traceparent: str | None) -> UsageReport:
    """Read one event. Raises ValueError (pydantic's among them) with the reason against it."""
    event = CloudEvent.model_validate(item)
    if event.subject is None:
        raise ValueError("subject: the account is missing")
    account = ids.read("account", event.subject)
    if not reporter.may_report_for(account):
        raise ValueError("subject: this key reports the usage of its own account only")
    actor = event.actor or reporter.caller
    if not reporter.may_report_as(actor):
        raise ValueError("actor: this key reports as itself only")
    if UsageData.model_validate(event.data).cost is not None and not reporter.may_state_costs:
        raise ValueError("data.cost: only a key with the scope admin says what usage cost")
    payload = event.model_copy(update={"traceparent": event.traceparent or traceparent, "actor": actor}).encode()
    if len(payload) > LARGEST_EVENT_BYTES:
        raise ValueError(f"an event has at most {LARGEST_EVENT_BYTES} bytes, this one {len(payload)}")
    return UsageReport(ids.show("account", account), payload)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
