"""Usage that was rejected: kept, listed, corrected, and burnt after all. For staff."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, StringConstraints

from ..credits import Credits
from ..envelope import ActorName
from ..events.usage_v1 import Properties, Quantity
from ..ids import AccountId, TransactionId
from .base import Answer, Cursor, Limit, Request
from .spending_v1 import MeterName

RejectionName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RejectionQuery(Request):
    """A page of rejected usage, newest first."""

    account: AccountId | None = None
    """Of this account alone."""
    code: Annotated[str, StringConstraints(pattern=r"^PAY\d{3}$")] | None = None
    """Rejected for this reason alone."""
    state: Literal["open", "replayed"] | None = None
    """Not burnt yet; or burnt after all."""
    limit: Limit = 20
    cursor: Cursor | None = None


class Replay(Answer):
    """How rejected usage was burnt after all."""

    transaction: TransactionId
    credits: Credits
    event: str
    """The event as it was burnt."""
    by: ActorName
    at: AwareDatetime


class Rejection(Answer):
    """A usage event that was rejected."""

    id: RejectionName
    account: AccountId
    source: str
    event_id: str
    meter: str
    code: str
    """Why: a problem's code."""
    detail: str
    required: Credits | None
    available: Credits | None
    at: AwareDatetime
    event: str
    """As it came."""
    replay: Replay | None


class ReplayOrder(Request):
    """Burn rejected usage after all; what is said here is otherwise than in the event."""

    meter: MeterName | None = None
    quantity: Quantity | None = None
    properties: Properties | None = None
