"""Reading usage events: what is usual is read at once by msgspec; what it will not have, pydantic's contract decides.

Both read the same events to the same effect (a property test compares them); the contract is `libs.contracts`.
"""

import hashlib
import math
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from libs.chassis.errors import DomainError
from libs.chassis.fast_uuid import FastUUID
from libs.contracts import ids
from libs.contracts.envelope import LARGEST_EVENT_BYTES, CloudEvent
from libs.contracts.errors import MALFORMED_EVENT
from libs.contracts.events.usage_v1 import (
    LARGEST_COST_MICROS,
    LARGEST_QUANTITY,
    MOST_PROPERTIES,
    PropertyValue,
    UsageData,
)
from services.credits.domain.postings import key_of

Name = Annotated[str, Meta(min_length=1, max_length=255)]
ActorName = Annotated[str, Meta(pattern=r"^[a-z]+:[A-Za-z0-9_.@-]{1,200}\Z")]
PropertyName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]  # `$` would let a line's end pass


class MalformedEventError(DomainError):
    """This is not a usage event."""

    code = MALFORMED_EVENT


_MOST_DIGITS = 12
"""Of a decimal number: so many are below the largest quantity."""
Quantity = int | Decimal
"""Whole quantities are ints, and only those."""


class Cost(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What serving a usage cost the operator."""

    amount_micros: Annotated[int, Meta(ge=0, le=LARGEST_COST_MICROS)]
    currency: Annotated[str, Meta(pattern=r"^[a-z]{3}\Z")]


class UsageEvent(Struct, eq=False, gc=False):
    """A usage event whose envelope could be read: which account, which deduplication key, what it says.

    `problem` says why the data could not be read, if it could not.
    """

    account: UUID
    key: UUID
    fingerprint: UUID
    meter: str
    source: str
    id: str
    time: datetime | None
    quantity: Quantity
    properties: dict[str, PropertyValue]
    payload: bytes
    actor: str | None = None
    cost: Cost | None = None
    problem: str | None = None

    def details(self) -> str:
        """Write what the journal keeps of it; its time in whole seconds, where it says one."""
        kept: dict[str, object] = {
            "source": self.source,
            "event_id": self.id,
            "quantity": str(self.quantity),
            "properties": self.properties,
        }
        if self.time is not None:
            kept["time"] = math.floor(self.time.timestamp())
        if self.actor is not None:
            kept["actor"] = self.actor
        if self.cost is not None:
            kept["cost"], kept["currency"] = self.cost.amount_micros, self.cost.currency
        return _ENCODER.encode(kept).decode()


class _Data(Struct, forbid_unknown_fields=True, gc=False):
    quantity: Annotated[int, Meta(ge=0, le=LARGEST_QUANTITY)] | Decimal = 1
    properties: Annotated[
        dict[PropertyName, bool | int | Annotated[str, Meta(max_length=500)]], Meta(max_length=MOST_PROPERTIES)
    ] = {}
    cost: Cost | None = None


class _Envelope(Struct, gc=False):
    id: Name
    source: Name
    type: Name
    subject: Annotated[str, Meta(min_length=36, max_length=36)]
    data: _Data
    specversion: Literal["1.0"] = "1.0"
    time: Annotated[datetime, Meta(tz=True)] | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: Annotated[str, Meta(max_length=64)] | None = None
    actor: ActorName | None = None


_DECODER = msgspec.json.Decoder(_Envelope)
_ENCODER = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="deterministic")


def read(payload: bytes) -> UsageEvent:
    """Read a record. Raises MalformedEventError: it cannot even be said whom it is about."""
    if len(payload) <= LARGEST_EVENT_BYTES and b"\\u0000" not in payload:
        try:
            payload.decode()  # the decoder does not look at the letters of what it skips
            event = _DECODER.decode(payload)
            account = _account(event.subject)
            quantity = event.data.quantity if isinstance(event.data.quantity, int) else _plain(event.data.quantity)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        else:
            data = event.data
            return _usage(account, event.subject, event, quantity, data.properties, payload, data.cost)
    return _read_by_contract(payload)


def _plain(quantity: Decimal) -> Quantity:
    """Take a usual decimal number. Raises ValueError for others, of which the contract is asked."""
    sign, digits, exponent = quantity.as_tuple()
    if sign or len(digits) > _MOST_DIGITS or not isinstance(exponent, int) or not -6 <= exponent <= 0:
        raise ValueError
    return _shortest(quantity)


def _shortest(quantity: Decimal) -> Quantity:
    whole = int(quantity)
    return whole if whole == quantity else quantity.normalize()


def _account(subject: str) -> UUID:
    if not subject.startswith("acc_") or not subject.islower():
        raise ValueError
    return FastUUID(subject[4:])


def _usage(  # noqa: PLR0917 - called for every event: keywords cost
    account: UUID,
    subject: str,
    event: "_Envelope | CloudEvent",
    quantity: Quantity,
    properties: dict[str, Any],
    payload: bytes,
    cost: Cost | None = None,
) -> UsageEvent:
    # not its time nor its actor: a service that reports again what it reported already may well date it anew, or have
    # another API key by then
    said = (event.type, quantity, properties) if cost is None else (event.type, quantity, properties, cost)
    return UsageEvent(
        account,
        key_of("usage", subject, event.source, event.id),
        FastUUID(hashlib.sha256(_SORTED.encode(said)).digest()[:16]),
        event.type,
        event.source,
        event.id,
        event.time,
        quantity,
        properties,
        payload,
        event.actor,
        cost,
    )


def _read_by_contract(payload: bytes) -> UsageEvent:
    try:
        event = CloudEvent.decode(payload)
        account = ids.read("account", event.subject or "")
        subject = ids.show("account", account)
    except ValueError as error:
        raise MalformedEventError(f"not a usage event: {error}") from error
    try:
        data = UsageData.model_validate(event.data)
    except ValueError as error:
        found = _usage(account, subject, event, 0, event.data, payload)
        found.properties, found.problem = {}, f"the event's data cannot be read: {error}"[:1000]
        return found
    cost = Cost(data.cost.amount_micros, data.cost.currency) if data.cost is not None else None
    return _usage(account, subject, event, _shortest(data.quantity), data.properties, payload, cost)
