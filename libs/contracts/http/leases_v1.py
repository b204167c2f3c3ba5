"""Leases: holds for work whose cost is not known before, such as agents and streams; settled as it goes on."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from ..credits import Credits, RequestedCredits
from ..events.usage_v1 import Properties, Quantity
from ..ids import AccountId
from .base import Request
from .spending_v1 import HoldChanged, HoldSeconds, MeterName, Purpose


class Metering(Request):
    """Work that is metered as it goes on."""

    meter: MeterName
    """The kind of usage; its price may not depend on other usage."""
    properties: Properties = Field(default_factory=dict)
    reserve: RequestedCredits
    """How many credits to reserve ahead: what the work may cost until the next heartbeat."""
    heartbeat_seconds: Annotated[HoldSeconds, Field(le=3600)] = 30
    """Without a heartbeat for so long it ends: what was metered is settled, the rest is freed."""


class NewLease(Purpose, Metering):
    """Begin work that is metered as it goes on."""

    account: AccountId | None = None
    """Whose credits; the caller's own if it is not said."""


class LeaseOrder(Purpose, Metering):
    """Begin work that is metered as it goes on, of an account's credits."""

    account: AccountId


class HeartbeatOrder(Request):
    """Tell what was used so far."""

    quantity: Quantity
    """In all since it began, in the meter's unit: told twice, or late, it is settled once."""


class LeaseChanged(HoldChanged):
    """A lease, and what the account has after what was done to it. Go on while credits are held."""

    metered: Decimal
    """How much was used so far."""
    cost: Credits
    """What that costs, by the prices with which the lease began."""
    short: Credits
    """What of that is owed: the reserve did not cover it, and the account has no more or may spend no more now. The
    next heartbeat tries again, and nothing is reserved ahead until then."""
