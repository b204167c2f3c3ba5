"""Money that moved at Stripe, as its balance transactions tell, and whether our record shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from libs.contracts.http.payments_v1 import PurchaseState
from services.payments.domain.purchases import PAID
from services.payments.domain.refunds import COUNTED, RefundState
from services.payments.domain.stripe_objects import StripeObject

MovementKind = Literal["charge", "refund", "refund_failure", "dispute", "dispute_reversal"]

_KINDS: dict[str, tuple[MovementKind, MovementKind]] = {
    "charge": ("charge", "charge"),
    "refund": ("refund", "refund_failure"),
    "dispute": ("dispute", "dispute_reversal"),
}
"""By the object that moved the money, and whether it came back the other way."""


class Source(StripeObject):
    """What moved the money: a charge, a refund or a dispute."""

    object: str
    amount: int
    currency: str
    payment_intent: str | None = None
    customer: str | None = None
    livemode: bool | None = None
    amount_refunded: int = 0
    """Of a charge, as it is now: all that went back, or is on its way."""


class BalanceTransaction(BaseModel):
    """An entry of the balance at Stripe, with what caused it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    amount: int
    fee: int
    net: int
    currency: str
    """In which Stripe pays out; an amount in another one was exchanged."""
    created: int
    source: dict[str, Any] | str | None = None

    @property
    def created_at(self) -> datetime:
        """Tell when it was entered."""
        return datetime.fromtimestamp(self.created, UTC)


@dataclass(frozen=True, slots=True)
class Movement:
    """Money of a payment that moved: in above zero, out below."""

    id: str
    kind: MovementKind
    source: Source
    payment_intent: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    settled_in: str
    moved_at: datetime

    @classmethod
    def of(cls, entry: BalanceTransaction) -> "Movement | None":
        """Read what an entry tells; None if it is of no payment, such as a payout."""
        if not isinstance(entry.source, dict) or entry.source.get("object") not in _KINDS:
            return None
        source = Source.model_validate(entry.source)
        if source.payment_intent is None or entry.amount == 0:
            return None
        sign = 1 if entry.amount > 0 else -1
        usual, other = _KINDS[source.object]
        return cls(
            id=entry.id,
            kind=usual if (sign > 0) == (usual == "charge") else other,
            source=source,
            payment_intent=source.payment_intent,
            amount_minor=entry.amount if entry.currency == source.currency else sign * source.amount,
            fee_minor=entry.fee,
            net_minor=entry.net,
            settled_in=entry.currency,
            moved_at=entry.created_at,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """What we have of a purchase that Stripe's books tell of, too."""

    id: UUID
    payment_intent: str | None
    state: PurchaseState
    amount_minor: int
    currency: str
    refunded_minor: int
    livemode: bool
    stripe_customer: str | None
    refunds: Mapping[str, RefundState]
    """By Stripe's id."""

    @property
    def paid(self) -> bool:
        """Tell whether its money has come."""
        return self.state in PAID


def shows(recorded: Recorded, movement: Movement, *, noted: bool) -> bool:
    """Tell whether our record shows a movement; `noted`: it was compared before.

    A dispute is shown once it made us look at its purchase: what it means there is read by looking.
    """
    if movement.kind == "charge":
        return _shows_payment(recorded, movement)
    state = recorded.refunds.get(movement.source.id)
    if movement.kind == "refund":
        return state in (*COUNTED, "failed")
    if movement.kind == "refund_failure":
        return state == "failed"
    return noted


def shows_after_looking(recorded: Recorded, movement: Movement) -> bool:
    """Tell the same when Stripe was just looked at: then what went back is newer in our record than in its list."""
    as_seen = replace(recorded, refunded_minor=movement.source.amount_refunded)
    return shows(as_seen, movement, noted=True)


def _shows_payment(recorded: Recorded, movement: Movement) -> bool:
    charge = movement.source
    theirs = (
        movement.payment_intent,
        movement.amount_minor,
        charge.currency,
        charge.amount_refunded,
        charge.livemode,
        charge.customer,
    )
    ours = (
        recorded.payment_intent,
        recorded.amount_minor,
        recorded.currency,
        recorded.refunded_minor,
        recorded.livemode,
        recorded.stripe_customer,
    )
    return recorded.paid and theirs == ours
