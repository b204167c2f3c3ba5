"""History: transactions, what a balance was, and how it came to be. Answered by credits, handed on by the gateway."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from ..credits import Credits
from ..events.payments_v1 import LotKind
from ..ids import AccountId, LotId, TransactionId
from ..money import Money
from .base import Answer, Cursor, Limit, Page, Request
from .credits_v1 import Balance, Lot, Transaction, TransactionType

Reference = Annotated[str, StringConstraints(max_length=320, pattern=r"^[a-z][a-z0-9_.-]{0,63}:[^\x00]+$")]
SearchedText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Bucket = Literal["available", "held", "overdraft", "debt", "revenue", "breakage", "transit", "stripe", "promotion"]
LARGEST_EXPORT_PAGE = 1000


class TransactionFilter(Request):
    """Which transactions are wanted: those that fit all that is said."""

    type: TransactionType | None = None
    """Of this type."""
    from_: Annotated[AwareDatetime | None, Field(alias="from")] = None
    """At this instant or later."""
    to: AwareDatetime | None = None
    """Before this instant."""
    reference: Reference | None = None
    """Caused by this, as `type:id`: `purchase:pur_...`, `meter:video.generation`."""
    q: SearchedText | None = None
    """With this text in their description, reference or details, in whatever case."""


class TransactionQuery(TransactionFilter):
    """A page of transactions."""

    limit: Limit = 20
    cursor: Cursor | None = None


class ExportPageQuery(TransactionFilter):
    """A large page of transactions, between services."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_EXPORT_PAGE)] = LARGEST_EXPORT_PAGE
    cursor: Cursor | None = None


class ExportQuery(TransactionFilter):
    """All transactions that fit, as a file."""

    format: Literal["csv", "jsonl"] = "csv"
    """A table with a head, or a transaction as JSON on each line."""


class LotQuery(Request):
    """A page of lots, newest first."""

    kind: LotKind | None = None
    """Of this kind."""
    open: bool | None = None
    """With something left, or with nothing."""
    limit: Limit = 20
    cursor: Cursor | None = None


class PageQuery(Request):
    """A page."""

    limit: Limit = 20
    cursor: Cursor | None = None


class PastBalance(Answer):
    """What an account had at an instant, by its entries up to then."""

    account: AccountId
    at: AwareDatetime
    available: Credits
    held: Credits
    overdraft: Credits
    debt: Credits
    sequence: int
    """The account's sequence then; 0 before its first transaction."""


class Movement(Answer):
    """Credits that moved from one bucket to another: `available`, `held`, `overdraft` and `debt` are the account's."""

    lot: LotId | None
    """Of which lot; null for what no lot covers."""
    moved_from: Bucket
    moved_to: Bucket
    credits: Credits
    """How many."""
    available_after: Credits
    """What was available after it, less an overdraft."""
    held_after: Credits
    debt_after: Credits


class TransactionDetail(Transaction):
    """A transaction and each of its movements, in order."""

    movements: list[Movement]


class LotMovement(Movement):
    """A movement of a lot's credits, and what it was for."""

    transaction: TransactionId
    type: TransactionType
    description: str
    reference_type: str | None
    reference_id: str | None
    event_source: str | None
    """Of usage: who reported it."""
    event_id: str | None
    """Of usage: its event's id."""
    sequence: int
    at: AwareDatetime


class LotExplanation(Answer):
    """What became of a lot.

    Granted are as many credits as remain, are held, were spent, expired, were taken back, were transferred and repaid
    overdraft or debt together, less what is owed.
    """

    lot: Lot
    funded_by: TransactionId
    """The transaction that brought it; `lot.reason` and `lot.reference` say what for."""
    paid: Money | None
    """What it cost, if money was paid for it."""
    held: Credits
    """Reserved now."""
    spent: Credits
    """Burnt, less what refunds of charges gave back."""
    expired: Credits
    taken_back: Credits
    """Taken back with a refunded payment."""
    owed: Credits
    """How many of those were spent already, and became a debt."""
    repaid: Credits
    """What went into the account's overdraft or debt when the lot came, or out of a full lot into one beside it: other
    lots had repaid what it owed."""
    transferred: Credits
    """What went to other accounts."""


class Explanation(Page[LotExplanation]):
    """How a balance came to be, lot by lot, newest first: all that remains, less the overdraft, is available."""

    balance: Balance
