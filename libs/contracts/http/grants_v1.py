"""Giving credits: by staff, to one or to many, and by activities that earn them."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from ..credits import Credits, RequestedCredits
from ..errors import Problem
from ..ids import AccountId, GrantId, LotId
from ..price_book import Slug
from .base import Answer, Request
from .limits_v1 import Words

LARGEST_GRANT = 10_000
"""Rows of one grant to many."""

StaffKind = Literal["granted", "promotional", "refunded"]
GrantState = Literal["waiting_for_approval", "running", "completed", "rejected"]
GrantRowState = Literal["waiting", "granted", "failed"]
Email = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^\x00]*$")]


class GrantTerms(Request):
    """What holds for a grant, to however many accounts."""

    note: Words
    """Why; customers see it."""
    kind: StaffKind = "granted"
    """Of which kind the lots are; it decides when they burn."""
    expires_at: AwareDatetime | None = None
    """From when on they cannot be spent; never, if absent."""


class GrantOrder(GrantTerms):
    """A grant to one account."""

    account: AccountId
    credits: RequestedCredits


class GrantRow(Request):
    """What one account is to be given. An e-mail address is resolved before; here it is but shown with the result."""

    account: AccountId | None = None
    """Absent, if nobody has the e-mail address: the row fails."""
    email: Email | None = None
    credits: RequestedCredits
    note: Words | None = None
    """Why; the grant's own note, if absent."""

    @model_validator(mode="after")
    def _says_whom(self) -> Self:
        if self.account is None and self.email is None:
            raise ValueError("name an account or an e-mail address")
        return self


class BulkGrantOrder(GrantTerms):
    """A grant to many accounts, worked off in the background; each row once."""

    rows: Annotated[list[GrantRow], Field(min_length=1, max_length=LARGEST_GRANT)]


class Grant(Answer):
    """A grant by staff, and how far it is."""

    id: GrantId
    state: GrantState
    """Above a limit of the catalogue it waits until a second person approves or rejects it."""
    kind: StaffKind
    note: str
    expires_at: AwareDatetime | None
    rows: int
    """To how many accounts."""
    credits: Credits
    """How many credits in all."""
    granted: int
    """How many rows are done."""
    failed: int
    """How many rows could not be done; each says why."""
    requested_by: str
    requested_at: AwareDatetime
    decided_by: str | None
    """Who approved or rejected it, if that was needed."""
    decided_at: AwareDatetime | None
    completed_at: AwareDatetime | None


class GrantRowResult(Answer):
    """What became of a row."""

    number: int
    """Its place in the order, from 1."""
    account: AccountId | None
    email: str | None
    credits: Credits
    note: str | None
    state: GrantRowState
    lot: LotId | None
    """The lot that was granted."""
    problem: Problem | None
    """Why it failed."""


class ActivityReport(Request):
    """Somebody did something that earns credits."""

    account: AccountId
    activity: Slug
    """Which one, by its name in the catalogue."""
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
    """What was done, by a name of the caller's own: the same one earns once."""


class ActivityAward(Answer):
    """What an activity earned."""

    account: AccountId
    activity: str
    reference: str
    credits: Credits
    lot: LotId
    earned_at: AwareDatetime
