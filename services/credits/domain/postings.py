"""Postings: wishes to change balances, and what became of each."""

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from libs.chassis.fast_uuid import FastUUID
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.errors import ErrorCode
from libs.contracts.events.payments_v1 import LotKind
from libs.contracts.http.credits_v1 import TransactionType
from services.credits.domain.accounts import BurntCharge, HeldCredits
from services.credits.domain.pricing import Rating

PRIORITY: dict[LotKind, int] = {
    "promotional": 10,
    "granted": 20,
    "membership": 30,
    "refunded": 40,
    "transferred": 40,
    "purchased": 50,
}
"""Lower burns first: what was given before what was paid for."""

Outcome = Literal[
    "accepted",
    "duplicate",
    "duplicate_rejected",
    "conflict",
    "unchanged",
    "unknown_account",
    "invalid",
    "not_open",
    "in_debt",
    "insufficient",
    "holds_blocked",
    "above_transaction_limit",
    "too_many_transactions",
    "above_own_limit",
    "runaway",
    "stopped",
    "too_much",
    "no_lot",
    "spent",
    "no_hold",
    "hold_settled",
    "hold_expired",
    "above_hold",
    "too_long",
    "no_charge",
    "above_charge",
    "reference_reused",
]


def key_of(*parts: str) -> UUID:
    """Hash a business key, the account's id included, into the 16 bytes by which the ledger deduplicates."""
    return FastUUID(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])


REPAID_DEBT = "repaid_debt"
"""What a lot is for that lies beside a full one: credits that had repaid the full one's debt."""


def lot_beside(lot: UUID, sequence: int, leg: int, at: datetime) -> tuple[UUID, str]:
    """Name a lot that is made beside another by a leg of its account's posting: its id, and its reference's."""
    name = f"{ids.show('lot', lot)}:{sequence}:{leg}"
    return ids.named_at(at, name), name


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What a posting is for, in words that a customer and an auditor can follow; `details` is a JSON object."""

    type: TransactionType
    reference_type: str | None = None
    reference_id: str | None = None
    description: str | None = None
    details: str | None = None
    price_version: str | None = None


class Metered(msgspec.Struct, frozen=True, gc=False):
    """A cost that depends on what the account used of a meter before, in the same period."""

    meter: str
    period: str
    rating: Rating


class Posting(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One wish to change a balance. `key` deduplicates it; `fingerprint` tells its content from another's.

    Where the cost is `metered`, `amount` is the most it can be until the posting is decided.
    """

    account: UUID
    key: UUID
    fingerprint: UUID
    amount: int
    cause: Cause
    metered: Metered | None = None
    used_before: int = 0
    """How much the account had used of what is metered when this was decided."""
    actor: str | None = None
    """Who spends, such as `user:usr_...` or `key:key_...`: his own limits hold too."""


class Spend(Posting):
    """Burn credits."""


class Usage(Spend, kw_only=True):
    """Burn what a usage event costs. A refusal is as final as a burn: the same event is not decided twice."""

    undated: bool = False
    """Its event does not say when: it may have come before at any time."""


class Charge(Spend, kw_only=True):
    """Burn credits for something that has an id (the key too), and may be given back."""

    id: UUID


class Hold(Posting, kw_only=True):
    """Reserve credits, until they are captured or released or it is too late; extended at most until `ends_by`."""

    id: UUID
    expires_at: datetime
    ends_by: datetime


class Lease(Hold, kw_only=True):
    """Reserve credits for work whose cost is not known before: settled as it goes on, by the version it begins with."""


class Settle(Posting, kw_only=True):
    """Burn what a lease has metered, `amount` for `quantity` in all, less what was burnt before; as far as it goes.

    `final` frees the rest.
    """

    lease: UUID
    quantity: Decimal
    final: bool


class Reserve(Posting, kw_only=True):
    """Reserve for a lease up to `amount` again, as far as it goes, and let it live until another instant.

    Of what it has cost by now, `cost`, nothing may be owed, or nothing is reserved.
    """

    lease: UUID
    cost: int
    expires_at: datetime


class Capture(Posting, kw_only=True):
    """Burn what a hold has reserved, or a part of it; `final` frees the rest."""

    hold: UUID
    final: bool


class Release(Posting, kw_only=True):
    """Free what a hold still reserves; `amount` says nothing."""

    hold: UUID


class Extend(Posting, kw_only=True):
    """Let a hold live until another instant; `amount` says nothing."""

    hold: UUID
    expires_at: datetime


class Grant(Posting, kw_only=True):
    """Give a lot."""

    lot: UUID
    kind: LotKind
    expires_at: datetime | None = None
    cost_minor: int | None = None
    currency: str | None = None


class SetAside(Posting, kw_only=True):
    """Hold credits of the lot that a payment funded, as its money may go back: as many as there are, or all or none."""

    id: UUID
    kind: LotKind
    whole: bool
    expires_at: datetime
    revision: int = 0
    """Which state of the payment this follows, if it follows one; older ones change nothing."""


class TakeBack(Posting, kw_only=True):
    """Take back from the lot that a payment funded; `amount` is the total of all that went back up to this revision.

    What was set aside under the ids that are named is taken first; the rest of it is free again. What is spent is
    `owed`, or left alone.
    """

    kind: LotKind
    revision: int
    set_aside: tuple[UUID, ...] = ()
    owed: bool = True


class ChargeRefund(Posting, kw_only=True):
    """Give back what a charge burnt, or a part of it, to the very lots; an expired one comes back as a lot `lot`."""

    charge: UUID
    lot: UUID


class Transfer(Posting, kw_only=True):
    """Move credits to another account, as a lot of its own."""

    to: UUID
    lot: UUID


class Result(msgspec.Struct, eq=False, gc=False):
    """What became of a posting; `available` is the balance after it or, if refused, what there was."""

    posting: Posting
    outcome: Outcome
    sequence: int = 0
    available: int = 0
    held: int = 0
    debt: int = 0
    credits: int = 0
    """What it moved, where the posting's amount does not say: what was taken back, released, refunded."""
    debt_made: int = 0
    charge: BurntCharge | None = None
    """The charge it is about, as it was after it: another than asked for, if its reference was charged before."""
    hold: HeldCredits | None = None
    """The hold it is about, as it was after it."""


REFUSALS: dict[Outcome, tuple[ErrorCode, str]] = {
    "unknown_account": (codes.UNKNOWN_ACCOUNT, "No ledger account has this id."),
    "invalid": (codes.INVALID_REQUEST, "There is no such amount, or it cannot go there."),
    "not_open": (codes.ACCOUNT_NOT_OPEN, "The account is frozen or closed."),
    "in_debt": (codes.INSUFFICIENT_CREDITS, "The account is in debt; new credits repay that first."),
    "insufficient": (codes.INSUFFICIENT_CREDITS, "The account's available credits do not cover this."),
    "holds_blocked": (codes.HOLDS_BLOCKED, "The account used more than it had, and holds nothing until it has that."),
    "above_transaction_limit": (codes.CREDIT_LIMIT_EXCEEDED, "One transaction may not cost so much."),
    "too_many_transactions": (codes.CREDIT_LIMIT_EXCEEDED, "The account has made all the transactions of this day."),
    "above_own_limit": (codes.CREDIT_LIMIT_EXCEEDED, "This is more than the account lets this spender have."),
    "runaway": (codes.CREDIT_LIMIT_EXCEEDED, "This is more than may be spent within an hour; spending is stopped."),
    "stopped": (codes.CREDIT_LIMIT_EXCEEDED, "Spending is stopped, since too much was spent within an hour."),
    "conflict": (codes.EVENT_ID_REUSED, "An event with this source and id, but another content, came before."),
    "no_lot": (codes.NOT_FOUND, "No such payment brought this account credits."),
    "spent": (codes.CREDITS_SPENT, "The credits that would go back are spent, in part at least."),
    "no_charge": (codes.NOT_FOUND, "This account has no such charge."),
    "above_charge": (codes.CHARGE_REFUND_TOO_LARGE, "That is more than is left of the charge."),
    "reference_reused": (codes.REFERENCE_REUSED, "Another amount was charged for this reference before."),
    "no_hold": (codes.NOT_FOUND, "This account has no such hold."),
    "hold_settled": (codes.HOLD_SETTLED, "The hold was captured or released before."),
    "hold_expired": (codes.HOLD_EXPIRED, "The hold has expired, and what it reserved is free again."),
    "above_hold": (codes.CAPTURE_TOO_LARGE, "That is more than the hold still reserves."),
    "too_long": (codes.HOLD_TOO_LONG, "No hold lives that long."),
}
"""What is told of a posting that is refused."""
