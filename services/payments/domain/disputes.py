"""Disputes: a buyer's bank takes a payment back, until somebody has the better evidence; inquiries only ask."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from libs.contracts.events.payments_v1 import LotToTakeBack
from services.payments.domain.purchases import Purchase, lots_of
from services.payments.domain.refunds import share, take_back

DisputeState = Literal["open", "won", "lost", "closed"]

_BY_STATUS: dict[str, DisputeState] = {
    "won": "won",
    "lost": "lost",
    "warning_closed": "closed",
    "prevented": "closed",
}


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute as it is recorded, by Stripe's id; `withdrawn` while the bank has the money."""

    id: str
    amount_minor: int
    reason: str
    state: DisputeState
    withdrawn: bool


def read_state(status: str) -> DisputeState:
    """Read Stripe's status of a dispute; one we do not know is not over."""
    return _BY_STATUS.get(status, "open")


def withdrawn_minor(disputes: Iterable[Dispute], *, paid_minor: int) -> int:
    """Sum up what banks have of a payment, at most all of it."""
    return min(sum(dispute.amount_minor for dispute in disputes if dispute.withdrawn), paid_minor)


def stand(disputes: Iterable[Dispute]) -> bool:
    """Tell whether a purchase is disputed: somebody still decides, or decided for the bank."""
    return any(dispute.state in ("open", "lost") for dispute in disputes)


def gone_minor(purchase: Purchase, *, refunded_minor: int, withdrawn_minor: int) -> int:
    """Tell how much of a payment went back that its credits follow, by refunds and by disputes, at most all of it."""
    refunded = refunded_minor if purchase.takes_back else 0
    return min(refunded + withdrawn_minor, purchase.quote.price.amount_minor)


def taken_back(purchase: Purchase, *, gone_minor: int) -> list[LotToTakeBack]:
    """Tell the credits that go back, in total, once so much money is gone."""
    return take_back(purchase.lots, refunded_minor=gone_minor, paid_minor=purchase.quote.price.amount_minor)


def taken_from_redeemer(purchase: Purchase, *, gone_minor: int) -> int:
    """Tell the credits of a redeemed gift card that go back, in total, once so much of its price is gone."""
    paid = purchase.quote.price.amount_minor
    lots = take_back(lots_of(purchase.quote), refunded_minor=gone_minor, paid_minor=paid)
    return sum(lot.credits for lot in lots)


def at_stake(purchase: Purchase, dispute: Dispute, *, gone_minor: int) -> Sequence[LotToTakeBack]:
    """Tell the credits that would go back besides if the bank were to take what it disputes; none if it has it."""
    paid = purchase.quote.price.amount_minor
    amount = 0 if dispute.withdrawn else min(dispute.amount_minor, paid - gone_minor)
    return share(purchase.lots, before_minor=gone_minor, amount_minor=amount, paid_minor=paid)
