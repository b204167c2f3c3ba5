"""What the credits service takes and answers."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ..credits import Credits
from ..events.credits_v1 import Enforcement
from ..events.payments_v1 import LotKind
from ..ids import AccountId, LotId, TransactionId
from ..money import Money
from .base import Answer
from .limits_v1 import AccountState


class ExpiringCredits(Answer):
    """What will expire next, and when."""

    credits: Credits
    """How many."""
    at: AwareDatetime
    """From this instant on they cannot be spent."""


class Totals(Answer):
    """What ever came in and went out of the account."""

    earned: Credits
    """Given: bonuses and grants."""
    purchased: Credits
    """Bought, bonus of the kind `purchased` included."""
    spent: Credits
    """Burnt by usage."""
    expired: Credits
    """Expired unspent."""
    refunded: Credits
    """Taken back with refunded payments."""


class Balance(Answer):
    """An account's balance; `sequence` rises with every change, so that nobody shows an older state over a newer."""

    account: AccountId
    available: Credits
    """What there is to spend; nothing can be spent while there is a debt."""
    held: Credits
    """What is reserved."""
    overdraft: Credits
    """What was spent beyond what there was."""
    debt: Credits
    """What refunds took back after it was spent; new credits repay it first."""
    by_kind: dict[LotKind, Credits]
    """What is available, by the kind of its lots."""
    next_expiry: ExpiringCredits | None
    """What expires next, if anything does."""
    totals: Totals
    """Sums over the account's whole life."""
    sequence: int
    """Rises with every change."""
    enforcement: Enforcement = "events"
    """Near nothing `holds`: work done for it should be held for first. Else `events`: report usage as it comes."""
    possible_overdraft: Annotated[Credits, Field(json_schema_extra={"default": "0"})] = 0
    """The largest overdraft it may come to, whatever is used, until its limit or state is changed."""
    low: bool = False
    """Whether less is available than the account's threshold."""
    state: AccountState = "open"
    """Only what is `open` may spend: not what is `stopped`, since it spent too much within an hour, or `frozen`."""


class Lot(Answer):
    """One grant of credits and what remains of it."""

    id: LotId
    account: AccountId
    kind: LotKind
    """What kind of credits."""
    priority: int
    """The lower, the sooner it burns."""
    granted: Credits
    """How many credits it brought."""
    remaining: Credits
    """How many are left."""
    reason: str
    """What kind of thing funded it: `purchase`, `welcome`."""
    reference: str
    """Which one."""
    granted_at: AwareDatetime
    expires_at: AwareDatetime | None
    """From when on it cannot be spent; null for never."""


TransactionType = Literal[
    "purchase",
    "membership",
    "bonus",
    "earned",
    "granted",
    "usage",
    "charge",
    "charge_refund",
    "payment_refund",
    "hold",
    "capture",
    "release",
    "transfer",
    "expiry",
    "adjustment",
]


TransactionStatus = Literal["pending", "completed", "failed", "refunded"]


class Transaction(Answer):
    """One movement of an account: signed credits, and the balance after it."""

    id: TransactionId
    account: AccountId
    type: TransactionType
    status: TransactionStatus
    """Of a hold, `pending` while it reserves, `refunded` once freed; of a charge, `refunded` once it is, wholly."""
    credits: Credits
    """What it changed in what is available: positive came in, negative went out. A capture changes what is held."""
    balance_after: Credits
    """What was available after it, less an overdraft."""
    description: str
    """In words for the customer."""
    note: str | None = None
    """What staff noted when they granted it."""
    reference_type: str | None
    """What kind of thing caused it: `purchase`, `meter`, `lot`."""
    reference_id: str | None
    """Which one."""
    paid: Money | None = None
    """What its credits cost, if money was paid for them."""
    metadata: dict[str, str]
    """Of usage: source, id, quantity and properties of its event; of charges and holds: what their caller kept."""
    price_version: str | None
    """By which price book a usage was rated."""
    sequence: int
    """The account's sequence with it."""
    at: AwareDatetime
