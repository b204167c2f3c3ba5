"""Writing a usage event as it travels, and reading it again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import ValidationError

from ..envelope import LARGEST_EVENT_BYTES, CloudEvent
from ..events.usage_v1 import PropertyValue, UsageCost, UsageData
from ..ids import new_id, read, show
from .errors import InvalidUsageError

_SUBJECT = re.compile(rb'"subject":"(acc_[0-9a-f]{32})"')  # inside of a text, quotes are escaped; data comes later


@dataclass(frozen=True, slots=True)
class Report:
    """A usage event as it travels: its Kafka key, and its bytes."""

    key: str
    payload: bytes

    @property
    def event(self) -> CloudEvent:
        """The event."""
        return CloudEvent.decode(self.payload)


def read_report(payload: bytes, *, checked: bool) -> Report | None:
    """Read a report that `write_report` wrote; None if it is none. What is `checked` is decoded for that."""
    key = _SUBJECT.search(payload)
    if key is None:
        return None
    if checked:
        try:
            CloudEvent.decode(payload)
        except ValueError:
            return None
    return Report(key[1].decode(), payload)


def write_report(
    account: UUID | str,
    meter: str,
    quantity: Decimal | int | str,
    properties: Mapping[str, PropertyValue],
    *,
    source: str,
    id: str | None,
    time: datetime | None,
    actor: str | None = None,
    cost: UsageCost | None = None,
) -> Report:
    """Write a report; the id is drawn and the time is now unless they are given. Raises InvalidUsageError."""
    if isinstance(quantity, float):
        raise InvalidUsageError(f'quantity: {quantity!r} is not exact; give an int, a Decimal or a string, as "4.2"')
    try:
        key = show("account", read("account", account) if isinstance(account, str) else account)
        data = UsageData(quantity=Decimal(quantity), properties=dict(properties), cost=cost)
        event = CloudEvent(
            id=id or str(new_id()),
            source=source,
            type=meter,
            subject=key,
            time=time or datetime.now(UTC),
            actor=actor,
            data=data.model_dump(mode="json", exclude_none=True),
        )
    except (ValidationError, ValueError, ArithmeticError) as error:
        raise InvalidUsageError(_reason(error)) from error
    payload = event.encode()
    if len(payload) > LARGEST_EVENT_BYTES:
        raise InvalidUsageError(f"an event has at most {LARGEST_EVENT_BYTES} bytes, this one has {len(payload)}")
    return Report(key, payload)


def _reason(error: Exception) -> str:
    if isinstance(error, ArithmeticError):
        return "quantity: not a decimal number"
    if not isinstance(error, ValidationError):
        return f"account: {error}"
    first = error.errors()[0]
    name = {"type": "meter"}.get(str(first["loc"][0]), ".".join(str(part) for part in first["loc"]))
    return f"{name}: {first['msg']}"
