"""What an account may do: its state, its limits, and those of who spends of it. For staff and for other services."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from ..credits import Credits, RequestedCredits, RequestedLimit
from ..envelope import ActorName
from ..ids import AccountId
from .base import Answer, Request

AccountState = Literal["open", "stopped", "frozen", "closed"]
UncoveredUsage = Literal["reject", "block_holds"]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class AccountLimits(Answer):
    """An account's state and its own limits."""

    account: AccountId
    state: AccountState
    """Open; stopped, since too much was spent within an hour; frozen by staff; closed for good."""
    resumes_at: AwareDatetime | None
    """When a stop ends by itself."""
    overdraft_limit: Credits | None
    """How far below nothing it may spend; null for what the catalogue says."""
    low_balance_threshold: Credits | None
    """Below how much it is low; null for what the catalogue says."""
    uncovered_usage: UncoveredUsage | None
    """What comes of usage that no credits cover; null for what the catalogue says."""
    holds_blocked: bool
    """Whether nothing is held for it until it can cover the usage that was not covered."""
    sequence: int
    """The account's sequence."""


class StateChange(Answer):
    """What somebody made of an account."""

    state: AccountState
    """What it was from then on."""
    by: str
    """Who did, such as `staff:ada`."""
    reason: str
    """Why, in his words."""
    at: AwareDatetime


class StateChanges(Answer):
    """Who changed an account's state and why, the last change first."""

    data: list[StateChange]


class StateOrder(Request):
    """Why an account's state is to change."""

    reason: Words
    """In words for those who ask later."""


class ClosingOrder(StateOrder):
    """Why an account is to be closed."""

    force: bool = False
    """Close it although it has, holds or owes something."""


class OverdraftOrder(Request):
    """How far below nothing an account may spend."""

    limit: RequestedLimit | None
    """Null for what the catalogue says."""


class ThresholdOrder(Request):
    """Below how much an account is low."""

    threshold: RequestedLimit | None
    """Null for what the catalogue says."""


class UncoveredUsageOrder(Request):
    """What comes of usage that an account's credits do not cover."""

    policy: UncoveredUsage | None
    """Null for what the catalogue says. Holds that are blocked are free again."""


class ActorLimitsOrder(Request):
    """What one may spend of an account."""

    per_day: RequestedLimit | None = None
    """In a day (UTC); null for as much as there is."""
    per_month: RequestedLimit | None = None
    """In a month (UTC); null for as much as there is."""


class ResumeOrder(Request):
    """Who may spend again."""

    actor: ActorName | None = None
    """A user or an API key; the whole account, if absent."""


class Actor(Answer):
    """Who spends of an account: a user or an API key."""

    actor: str
    """Such as `user:usr_...`."""
    per_day: Credits | None
    """What he may spend in a day."""
    per_month: Credits | None
    """What he may spend in a month."""
    spent_today: Credits
    """What he spent today (UTC), since he has limits."""
    spent_this_month: Credits
    """What he spent this month (UTC), since he has limits."""
    stopped: bool
    """Whether he is stopped, since he spent too much within an hour."""
    resumes_at: AwareDatetime | None
    """When that ends by itself."""


class Actors(Answer):
    """Who is known to spend of an account."""

    data: Annotated[list[Actor], Field(max_length=10_000)]
    """By name."""


class PurchaseCheck(Request):
    """How many credits somebody is about to buy."""

    credits: RequestedCredits
    """All of them, a bonus included."""


class PurchaseAllowed(Answer):
    """The purchase is within every limit. A payment that comes is credited in any case."""

    credits: Credits
    """How many were asked about."""
    balance_after: Credits
    """What there would be with them, what is held included."""
