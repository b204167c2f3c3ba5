"""Refunds: money that goes back, and the credits that go with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.contracts.events.payments_v1 import LotToGrant, LotToTakeBack
from libs.contracts.http.payments_v1 import PurchaseState

RefundState = Literal["created", "unknown", "pending", "succeeded", "failed"]

ORDER: tuple[RefundState, ...] = ("created", "unknown", "pending", "succeeded", "failed")
"""A refund's state only ever moves to the right, so that it ends the same in whatever order its events come.

Stripe lets a refund fail after it succeeded (a closed bank account), and never succeed after it failed.
"""

COUNTED: tuple[RefundState, ...] = ("pending", "succeeded")
"""States in which Stripe has taken the money from us."""

_BY_STATUS: dict[str, RefundState] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as it is recorded; `stripe_refund` is Stripe's id once known, `failure` why it failed."""

    id: UUID
    purchase: UUID
    amount_minor: int
    reason: str | None
    state: RefundState
    stripe_refund: str | None
    failure: str | None
    created_at: datetime


def read_status(status: str) -> RefundState:
    """Read Stripe's status of a refund; one we do not know means money on its way."""
    return _BY_STATUS.get(status, "pending")


def earlier(state: RefundState) -> Sequence[RefundState]:
    """Name the states that this one overrules."""
    return ORDER[: ORDER.index(state)]


def state_after(*, refunded_minor: int, paid_minor: int) -> PurchaseState:
    """Tell the state of a paid purchase of which this much has gone back."""
    if refunded_minor == 0:
        return "succeeded"
    return "refunded" if refunded_minor == paid_minor else "partially_refunded"


def take_back(lots: Iterable[LotToGrant], *, refunded_minor: int, paid_minor: int) -> list[LotToTakeBack]:
    """Tell the credits to take back, in total, for the money that has gone back in total: of each lot the same share.

    Depends on totals alone, so the order and number of refunds do not matter. Rounded down to a micro-credit, in the
    customer's favour; at a full refund nothing is lost to rounding.
    """
    return [LotToTakeBack(kind=lot.kind, credits=lot.credits * refunded_minor // paid_minor) for lot in lots]
