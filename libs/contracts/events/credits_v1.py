"""What credits tells of balances."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from ..credits import Credits
from ..ids import AccountId, HoldId, LotId
from ..topics import CREDITS_EVENTS, Topic
from .base import Event
from .payments_v1 import LotKind

Enforcement = Literal["events", "holds"]
"""How services should use an account's credits: report usage as it comes, or hold before they work."""


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
    """The balance now. State, not fact: coalesced, under load up to a second behind; keep the highest sequence."""

    type: ClassVar[str] = "scrip.balance.changed.v1"

    available: Credits
    """What can be spent."""
    held: Credits
    """What is reserved."""
    overdraft: Credits
    """What was spent beyond that, by usage."""
    debt: Credits
    """What a refund took back after it was spent; new credits repay it first."""


class LowBalance(CreditsEvent):
    """What is available crossed the account's threshold: once for each crossing, after all of a batch."""

    type: ClassVar[str] = "scrip.balance.low.v1"

    change: Literal["dropped", "recovered"]
    """Whether it fell below, or came back."""
    available: Credits
    """What is available after the crossing, less an overdraft."""
    threshold: Credits
    """Below this the account is low."""


class EnforcementChanged(CreditsEvent):
    """An account came near nothing: hold before you work for it; or is far from it again: report usage as it comes."""

    type: ClassVar[str] = "scrip.enforcement.changed.v1"

    enforcement: Enforcement
    """`holds` near nothing, `events` far from it."""
    available: Credits
    """What is available after the change, less an overdraft."""
    near: Credits
    """Below this it is near nothing; it is far again with twice that."""
    possible_overdraft: Credits
    """The largest overdraft it may come to, whatever is used."""


class HoldsBlocked(CreditsEvent):
    """Usage was not covered, and by the account's policy nothing is held for it until there are as many credits."""

    type: ClassVar[str] = "scrip.holds.blocked.v1"

    uncovered: Credits
    """What the refused usage would have cost."""
    available: Credits
    """What there was, less an overdraft."""


class HoldsUnblocked(CreditsEvent):
    """The account has what the uncovered usage would have cost, and may place holds again."""

    type: ClassVar[str] = "scrip.holds.unblocked.v1"

    available: Credits
    """What there is."""


class LotExpiring(CreditsEvent):
    """Credits will soon expire; told once for each lot, some days before."""

    type: ClassVar[str] = "scrip.lot.expiring.v1"

    lot: LotId
    """The lot."""
    kind: LotKind
    """Its kind."""
    credits: Credits
    """What remains of it as this is told."""
    expires_at: AwareDatetime
    """From when on it cannot be spent."""


class LotExpired(CreditsEvent):
    """Credits expired unspent and were written off; of one lot more than once, if a hold gave some back later."""

    type: ClassVar[str] = "scrip.lot.expired.v1"

    lot: LotId
    """The lot."""
    kind: LotKind
    """Its kind."""
    credits: Credits
    """What was written off now."""
    expired_at: AwareDatetime
    """From when on it could not be spent."""
    available: Credits
    """What is available after it, less an overdraft."""


class HoldExpired(CreditsEvent):
    """A hold was neither captured nor released in time; what it still reserved is free."""

    type: ClassVar[str] = "scrip.hold.expired.v1"

    hold: HoldId
    """The hold."""
    credits: Credits
    """What it freed."""
    reference_type: str | None = None
    """What kind of thing it was placed for."""
    reference_id: str | None = None
    """Which one."""


class RunawayStopped(CreditsEvent):
    """A spend would have passed what may be spent within an hour: it was refused, and whoever spent is stopped."""

    type: ClassVar[str] = "scrip.runaway.stopped.v1"

    actor: str | None = None
    """The user or API key that is stopped, such as `user:usr_...`; absent if it is the whole account."""
    spent: Credits
    """What was spent within the last hour."""
    limit: Credits
    """What may be."""
    refused: Credits
    """What the refused spend came to."""
    resumes_at: AwareDatetime | None = None
    """When the stop ends by itself; absent if somebody has to end it."""


class RunawayResumed(CreditsEvent):
    """A stop is over."""

    type: ClassVar[str] = "scrip.runaway.resumed.v1"

    actor: str | None = None
    """The user or API key that may go on; absent if it is the whole account."""
    by: str | None = None
    """Who ended it, such as `staff:ada`; absent if its time was over."""


class UnusualActivity(CreditsEvent):
    """An account burns far more today than it ever did lately; told once a day, when it is noticed."""

    type: ClassVar[str] = "scrip.usage.unusual.v1"

    day: date
    """The day, in UTC."""
    burnt: Credits
    """What it burnt on it so far."""
    usual: Credits
    """What it burnt on its busiest days before: more than twice as much is unusual."""


class AccountStateEvent(CreditsEvent):
    """Somebody changed what an account may do."""

    by: str
    """Who did, such as `staff:ada`."""
    reason: str
    """Why, in his words."""


class AccountFrozen(AccountStateEvent):
    """An account was frozen: no new spends and holds; settlements and grants go on."""

    type: ClassVar[str] = "scrip.account.frozen.v1"


class AccountUnfrozen(AccountStateEvent):
    """A frozen account is open again."""

    type: ClassVar[str] = "scrip.account.unfrozen.v1"


class AccountClosed(AccountStateEvent):
    """An account was closed for good: nothing but settlements and what is paid for already."""

    type: ClassVar[str] = "scrip.account.closed.v1"

    available: Credits
    """What was left in it, less an overdraft."""
