"""Refunds: money that goes back, and the credits that go with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from libs.chassis.errors import InvalidRequestError, NotAllowedError
from libs.contracts.catalogue import Policies
from libs.contracts.events.payments_v1 import LotToGrant, LotToTakeBack
from libs.contracts.http.payments_v1 import PurchaseState
from libs.contracts.money import Money, chargeable
from services.payments.domain.errors import (
    AmountNotChargeableError,
    PurchaseStateError,
    RefundNotAllowedError,
    RefundTooLargeError,
    RefundTooLateError,
)
from services.payments.domain.purchases import Purchase

RefundState = Literal["created", "unknown", "pending", "succeeded", "failed"]

ORDER: tuple[RefundState, ...] = ("created", "unknown", "pending", "succeeded", "failed")
"""A refund's state only ever moves to the right, so that it ends the same in whatever order its events come.

Stripe lets a refund fail after it succeeded (a closed bank account), and never succeed after it failed.
"""

COUNTED: tuple[RefundState, ...] = ("pending", "succeeded")
"""States in which Stripe has taken the money from us."""

BY_WARNING = "policy:early_fraud_warning"
"""Who asks for the refund that an issuer's early warning leads to."""

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
    before_minor: int
    """What was refunded, or going to be, before it."""
    requested_by: str

    @property
    def forestalls(self) -> bool:
        """Tell whether it is to forestall a dispute: by that the bank would take all, whatever is spent."""
        return self.requested_by == BY_WARNING


def read_status(status: str) -> RefundState:
    """Read Stripe's status of a refund; one we do not know means money on its way."""
    return _BY_STATUS.get(status, "pending")


def earlier(state: RefundState) -> Sequence[RefundState]:
    """Name the states that this one overrules."""
    return ORDER[: ORDER.index(state)]


def state_after(*, refunded_minor: int, paid_minor: int, disputed: bool = False) -> PurchaseState:
    """Tell the state of a paid purchase of which this much has been refunded."""
    if disputed:
        return "disputed"
    if refunded_minor == 0:
        return "succeeded"
    return "refunded" if refunded_minor == paid_minor else "partially_refunded"


def check_may_refund(caller: str, policies: Policies) -> None:
    """Let staff refund, and customers where the catalogue says so. Raises RefundNotAllowedError, NotAllowedError."""
    kind = caller.partition(":")[0]
    if kind == "user" and not policies.customer_refunds:
        raise RefundNotAllowedError
    if kind not in ("user", "staff"):
        raise NotAllowedError


def check_in_time(purchase: Purchase, caller: str, policies: Policies, *, at: datetime) -> None:
    """Let customers refund for as many days after they paid as the catalogue says. Raises RefundTooLateError."""
    days = policies.customer_refund_days
    if not caller.startswith("user:") or purchase.paid_at is None or days is None:
        return
    until = purchase.paid_at + timedelta(days=days)
    if at >= until:
        raise RefundTooLateError(until=until.isoformat())


def amount_to_refund(
    purchase: Purchase, asked: Money | None, *, before_minor: int, most_minor: int | None = None
) -> int:
    """Tell how much is to go back, of what neither went back yet nor is going to, and at most `most_minor`.

    Raises PurchaseStateError, InvalidRequestError, RefundTooLargeError, AmountNotChargeableError.
    """
    if not purchase.paid or purchase.state == "disputed":
        raise PurchaseStateError(f"the purchase is {purchase.state} and cannot be refunded", state=purchase.state)
    left = purchase.quote.price.amount_minor - before_minor
    if most_minor is not None:
        left = min(left, most_minor)
    if asked is None and left > 0:
        return left
    asked = asked or purchase.money(0)
    if asked.currency != purchase.quote.price.currency:
        raise InvalidRequestError(f"the purchase was paid in {purchase.quote.price.currency}")
    if left <= 0 or asked.amount_minor > left:
        raise RefundTooLargeError(left=purchase.money(max(left, 0)).model_dump())
    if not chargeable(asked.amount_minor, asked.currency):
        raise AmountNotChargeableError(f"{asked} is not an amount that can be refunded")
    return asked.amount_minor


def refunded_minor(refunds: Iterable[Refund]) -> int:
    """Sum up what Stripe has taken from us."""
    return sum(refund.amount_minor for refund in refunds if refund.state in COUNTED)


def counted(refunds: Iterable[Refund]) -> set[UUID]:
    """Name those by which Stripe has taken money from us."""
    return {refund.id for refund in refunds if refund.state in COUNTED}


def newly_failed(before: Iterable[Refund], now: Iterable[Refund]) -> list[Refund]:
    """Name those that have failed since, whether or not money had gone back by them."""
    known = {refund.id for refund in before if refund.state == "failed"}
    return [refund for refund in now if refund.state == "failed" and refund.id not in known]


def take_back(lots: Iterable[LotToGrant], *, refunded_minor: int, paid_minor: int) -> list[LotToTakeBack]:
    """Tell the credits to take back, in total, for the money that has gone back in total: of each lot the same share.

    Depends on totals alone, so the order and number of refunds do not matter. Rounded down to a micro-credit, in the
    customer's favour; at a full refund nothing is lost to rounding.
    """
    return [LotToTakeBack(kind=lot.kind, credits=lot.credits * refunded_minor // paid_minor) for lot in lots]


def share(lots: Sequence[LotToGrant], *, before_minor: int, amount_minor: int, paid_minor: int) -> list[LotToTakeBack]:
    """Tell the credits that go back with one refund, after others came to so much; lots that lose nothing left out."""
    before = take_back(lots, refunded_minor=before_minor, paid_minor=paid_minor)
    after = take_back(lots, refunded_minor=before_minor + amount_minor, paid_minor=paid_minor)
    shares = [
        LotToTakeBack(kind=then.kind, credits=then.credits - first.credits)
        for first, then in zip(before, after, strict=True)
    ]
    return [lot for lot in shares if lot.credits > 0]


def covered_minor(
    lots: Iterable[LotToGrant], remaining: Mapping[str, int], *, before_minor: int, paid_minor: int
) -> int:
    """Tell how much money can go back after so much did, so that no more credits go than remain of any lot."""
    most = paid_minor
    for lot in lots:
        gone = lot.credits * before_minor // paid_minor
        most = min(most, ((gone + remaining.get(lot.kind, 0) + 1) * paid_minor - 1) // lot.credits)
    return max(most - before_minor, 0)
