"""Stripe's webhooks: whether the signature is right, and what event the body is.

Source: Stripe, "Verify webhook signatures manually". The header `Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>` has
one `v1` for each active secret: HMAC-SHA256 over the timestamp, a dot and the raw body. Other schemes do not count.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson

from libs.chassis.errors import DomainError
from libs.contracts import errors as codes
from libs.contracts.envelope import LARGEST_EVENT_BYTES

TOLERANCE = timedelta(seconds=300)
"""How far the timestamp may lie from now, before or after."""

LARGEST_BODY = LARGEST_EVENT_BYTES - 16 * 1024
"""Bytes of a webhook at most: its event, envelope and all, must fit what consumers read."""

_LATEST_SECOND = 253_402_300_799
"""The last second of the year 9999: a datetime can say no later one."""


class SignatureInvalidError(DomainError):
    """The webhook's signature is missing, wrong, or too far from now."""

    code = codes.WEBHOOK_SIGNATURE_INVALID

    def __init__(self, detail: str, *, outcome: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        """What the metric calls it."""


class NotAnEventError(DomainError):
    """The webhook is signed, but its body is not an event of Stripe."""

    code = codes.MALFORMED_WEBHOOK


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """An event of Stripe: what we file it under, and every byte of it."""

    id: str
    type: str
    object_id: str
    key: str
    """Whom the event is about: what has the same key is told in order."""
    livemode: bool
    api_version: str | None
    created: datetime
    raw: bytes
    body: dict[str, Any]


def check_signature(header: str | None, body: bytes, *, secrets: Sequence[str], now: datetime) -> None:
    """Let a webhook pass that one of the secrets signed, within the tolerance. Raises SignatureInvalidError."""
    if not header:
        raise SignatureInvalidError("the Stripe-Signature header is missing", outcome="signature_missing")
    timestamp, signatures = _read_header(header)
    if timestamp is None or not signatures:
        raise SignatureInvalidError("the Stripe-Signature header has no t or no v1", outcome="signature_malformed")
    signed = b"%d.%s" % (timestamp, body)
    ours = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in secrets]
    if not any([hmac.compare_digest(one, theirs) for one in ours for theirs in signatures]):  # noqa: C419 - all of them, always
        raise SignatureInvalidError("no signature is of a secret that we know", outcome="signature_wrong")
    age = now.timestamp() - timestamp
    if abs(age) > TOLERANCE.total_seconds():
        outcome = "timestamp_old" if age > 0 else "timestamp_future"
        raise SignatureInvalidError("the signature's timestamp is too far from now", outcome=outcome)


def _read_header(header: str) -> tuple[int | None, list[bytes]]:
    timestamp, signatures = None, []
    for item in header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "t" and timestamp is None and value.isascii() and value.isdigit() and len(value) <= 12:
            timestamp = int(value)
        elif name == "v1":
            signatures.append(value.encode())
    return timestamp, signatures


def read_event(raw: bytes) -> StripeEvent:
    """Read the body of a webhook, whatever the event's type. Raises NotAnEventError."""
    try:
        body = orjson.loads(raw)
        subject = body["data"]["object"]
        created = body["created"]
        if body["object"] != "event" or type(created) is not int or not 0 <= created <= _LATEST_SECOND:
            raise NotAnEventError
        return StripeEvent(
            id=_text(body["id"]),
            type=_text(body["type"]),
            object_id=_object_id(subject),
            key=_key(subject) or _object_id(subject) or body["id"],
            livemode=body.get("livemode") is True,
            api_version=_text(body["api_version"]) if body.get("api_version") else None,
            created=datetime.fromtimestamp(created, UTC),
            raw=raw,
            body=body,
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise NotAnEventError from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255 or "\x00" in value:
        raise NotAnEventError
    return value


def _object_id(subject: dict[str, Any]) -> str:
    """Name the object that the event is about; an upcoming invoice, alone, has no id."""
    return _text(subject["id"]) if subject.get("id") else ""


def _key(subject: dict[str, Any]) -> str | None:
    """Name whose events must keep their order: the customer's; for an object that does not say, its payment's.

    Refunds and disputes name no customer but a payment intent; all events of one purchase then share one of two keys.
    """
    if subject.get("object") == "customer":
        return _text(subject["id"])
    for field in ("customer", "payment_intent"):
        value = subject.get(field)
        if isinstance(value, dict):  # an endpoint may have asked for expanded objects
            value = value.get("id")
        if value:
            return _text(value)
    return None
