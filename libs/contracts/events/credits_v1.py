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
    sequence: Annotated[int, Field(ge=0)]
    occurred_at: AwareDatetime


class CreditsGranted(CreditsEvent):
    """A lot was granted; `reason` and `reference` name what funded it."""

    type: ClassVar[str] = "scrip.credits.granted.v1"

    lot: LotId
    kind: LotKind
    credits: Credits
    reason: str
    reference: str
    available: Credits


class CreditsTakenBack(CreditsEvent):
    """Credits went back with a refunded payment; `debt` is what had been spent already."""

    type: ClassVar[str] = "scrip.credits.taken_back.v1"

    credits: Credits
    debt: Credits
    reference: str
    available: Credits


class UsageRejected(CreditsEvent):
    """A usage event was refused and nothing was burnt; `code` is one of ours (PAY001: not enough credits)."""

    type: ClassVar[str] = "scrip.usage.rejected.v1"

    usage_source: str
    usage_id: str
    meter: str
    code: str
    detail: str
    required: Credits | None = None
    available: Credits | None = None


class BalanceChanged(CreditsEvent):
    """The balance now. State, not fact: coalesced, at most half a second behind; keep the highest sequence."""

    type: ClassVar[str] = "scrip.balance.changed.v1"

    available: Credits
    held: Credits
    overdraft: Credits
    debt: Credits
