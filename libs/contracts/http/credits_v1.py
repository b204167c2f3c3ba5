"""What the credits service takes and answers."""

from typing import Literal

from pydantic import AwareDatetime

from ..credits import Credits
from ..events.payments_v1 import LotKind
from ..ids import AccountId, LotId, TransactionId
from .base import Answer


class ExpiringCredits(Answer):
    """What will expire next, and when."""

    credits: Credits
    at: AwareDatetime


class Totals(Answer):
    """What ever came in and went out of the account."""

    earned: Credits
    purchased: Credits
    spent: Credits
    expired: Credits
    refunded: Credits


class Balance(Answer):
    """An account's balance; `sequence` rises with every change, so that nobody shows an older state over a newer."""

    account: AccountId
    available: Credits
    held: Credits
    overdraft: Credits
    debt: Credits
    by_kind: dict[LotKind, Credits]
    next_expiry: ExpiringCredits | None
    totals: Totals
    sequence: int


class Lot(Answer):
    """One grant of credits and what remains of it."""

    id: LotId
    account: AccountId
    kind: LotKind
    priority: int
    granted: Credits
    remaining: Credits
    reason: str
    reference: str
    granted_at: AwareDatetime
    expires_at: AwareDatetime | None


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
    "transfer",
    "expiry",
    "adjustment",
]


class Transaction(Answer):
    """One movement of an account: signed credits, and the balance after it."""

    id: TransactionId
    account: AccountId
    type: TransactionType
    status: Literal["pending", "completed", "failed", "refunded"]
    credits: Credits
    balance_after: Credits
    description: str
    reference_type: str
    reference_id: str
    metadata: dict[str, str]
    price_version: str | None
    sequence: int
    at: AwareDatetime
