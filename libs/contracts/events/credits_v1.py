"""What credits tells of balances."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from ..credits import Credits
from ..ids import AccountId, LotId
from ..topics import CREDITS_EVENTS, Topic
from .base import Event
from .payments_v1 import LotKind


class CreditsEvent(Event):
    """An event of the ledger; `sequence` is the account's, rising with every change of its balance."""

    topic: ClassVar[Topic] = CREDITS_EVENTS
    source: ClassVar[str] = "/scrip/credits"

    account: AccountId
    """Whose credits."""
    sequence: Annotated[int, Field(ge=0)]
    """Which change of the account this is; of two states the one with the higher sequence is newer."""
    occurred_at: AwareDatetime
    """The instant of the ledger's batch."""


class CreditsGranted(CreditsEvent):
    """A lot was granted; `reason` and `reference` name what funded it."""

    type: ClassVar[str] = "scrip.credits.granted.v1"

    lot: LotId
    """The new lot."""
    kind: LotKind
    """Its kind."""
    credits: Credits
    """How many credits it brought."""
    reason: str
    """What kind of thing funded it: `purchase`, `welcome`."""
    reference: str
    """Which one: the purchase's id, or the account's for its welcome bonus."""
    available: Credits
    """What is available after it."""


class CreditsTakenBack(CreditsEvent):
    """Credits went back with a refunded payment; `debt` is what had been spent already."""

    type: ClassVar[str] = "scrip.credits.taken_back.v1"

    credits: Credits
    """How many credits went back with this event; negative if a refund failed and they came again."""
    debt: Credits
    """How many of them had been spent, and became a debt."""
    reference: str
    """The purchase's id."""
    available: Credits
    """What is available after it."""


class UsageRejected(CreditsEvent):
    """A usage event was refused and nothing was burnt; `code` is one of ours (PAY001: not enough credits)."""

    type: ClassVar[str] = "scrip.usage.rejected.v1"

    usage_source: str
    """`source` of the usage event."""
    usage_id: str
    """`id` of the usage event."""
    meter: str
    """`type` of the usage event."""
    code: str
    """Why, as one of our error codes."""
    detail: str
    """Why, in words."""
    required: Credits | None = None
    """What it would have cost; absent if it could not be rated."""
    available: Credits | None = None
    """What there was."""


class BalanceChanged(CreditsEvent):
    """The balance now. State, not fact: coalesced, at most half a second behind; keep the highest sequence."""

    type: ClassVar[str] = "scrip.balance.changed.v1"

    available: Credits
    """What can be spent."""
    held: Credits
    """What is reserved."""
    overdraft: Credits
    """What was spent beyond that, by usage."""
    debt: Credits
    """What a refund took back after it was spent; new credits repay it first."""
