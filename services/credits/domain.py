"""Rules of the ledger that need no database: what a posting is, how usage is rated, in which order postings apply."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal
from uuid import UUID

from libs.chassis.errors import DomainError
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.catalogue import PriceBook
from libs.contracts.credits import LARGEST
from libs.contracts.errors import ErrorCode
from libs.contracts.events.payments_v1 import LotKind
from libs.contracts.events.usage_v1 import UsageData

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
    "unknown_account",
    "not_open",
    "in_debt",
    "insufficient",
    "unchanged",
    "no_lot",
]


class UnknownAccountError(DomainError):
    """No ledger account has this id."""

    code = codes.UNKNOWN_ACCOUNT


class UnknownMeterError(DomainError):
    """The price book has no such meter."""

    code = codes.UNKNOWN_METER


class UnratableUsageError(DomainError):
    """No price of the meter fits these properties."""

    code = codes.UNRATABLE_USAGE


class LotMissingError(Exception):
    """A payment was refunded whose lot was never granted: an event is missing, and its key must wait for it."""


class ReferenceReusedError(Exception):
    """A reference that already funded something came again with other content."""


def key_of(*parts: str) -> bytes:
    """Hash a business key into the 16 bytes that the ledger deduplicates by."""
    return hashlib.sha256("\x1f".join(parts).encode()).digest()[:16]


@dataclass(frozen=True, slots=True)
class Cause:
    """What a posting is for, in words that a customer and an auditor can follow."""

    type: str
    reference_type: str
    reference_id: str
    description: str
    details: Mapping[str, Any] = field(default_factory=dict)
    price_version: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """One wish to change a balance. `key` deduplicates it within its account; `fingerprint` tells its content."""

    account: UUID
    key: bytes
    fingerprint: bytes
    amount: int
    cause: Cause
    id: UUID = field(default_factory=ids.new_id)


@dataclass(frozen=True, slots=True)
class Spend(Posting):
    """Burn credits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Posting):
    """Give a lot."""

    kind: LotKind
    lot: UUID = field(default_factory=ids.new_id)
    expires_at: datetime | None = None
    cost_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack(Posting):
    """Take back from the lot that a payment funded; `amount` is the total over all refunds up to this revision."""

    kind: LotKind
    revision: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a posting; `available` is the balance after it or, if refused, what there was."""

    posting: Posting
    outcome: Outcome
    sequence: int | None = None
    available: int | None = None
    credits: int = 0
    debt: int = 0


def rounds(postings: Sequence[Posting]) -> Iterator[list[Posting]]:
    """Split a batch into rounds that one set-based statement each can apply, keeping every account's own order.

    A round holds postings of one class; many spends of an account, but one grant or take-back. A batch of usage is
    one round.
    """
    depth: dict[UUID, tuple[int, type[Posting]]] = {}
    by_round: dict[tuple[int, type[Posting]], list[Posting]] = {}
    for posting in postings:
        kind = type(posting)
        level, last = depth.get(posting.account, (0, Posting))
        if kind is not last or kind is not Spend:
            level += 1
        depth[posting.account] = (level, kind)
        by_round.setdefault((level, kind), []).append(posting)
    for level_and_kind in sorted(by_round, key=lambda found: (found[0], found[1].__name__)):
        yield by_round[level_and_kind]


def first_of_each(postings: Iterable[Posting]) -> tuple[list[Posting], list[Posting]]:
    """Part a batch into the first posting of each key and those that repeat one within the batch."""
    seen: set[tuple[UUID, bytes]] = set()
    first: list[Posting] = []
    again: list[Posting] = []
    for posting in postings:
        name = (posting.account, posting.key)
        (again if name in seen else first).append(posting)
        seen.add(name)
    return first, again


@dataclass(frozen=True, slots=True)
class Rating:
    """What a usage costs, and by which version of the price book."""

    credits: int
    price_version: str


def rate(book: PriceBook, meter: str, data: UsageData) -> Rating:
    """Price a usage in whole micro-credits, rounded up: a part of a micro-credit is never given away.

    The first price whose conditions all hold is taken. Raises UnknownMeterError, UnratableUsageError.
    """
    found = book.meters.get(meter)
    if found is None:
        raise UnknownMeterError(f'the price book has no meter "{meter[:100]}"')
    for price in found.prices:
        if all(data.properties.get(name) == value for name, value in price.when.items()):
            quantity = _ceiling(data.quantity) if found.whole_units else data.quantity
            cost = int((quantity * price.credits).to_integral_value(ROUND_CEILING))
            if cost > LARGEST:
                raise UnratableUsageError("this usage costs more than an account can hold")
            return Rating(cost, book.version)
    raise UnratableUsageError(f'no price of "{meter[:100]}" fits these properties')


def _ceiling(quantity: Decimal) -> Decimal:
    return quantity.to_integral_value(ROUND_CEILING)


REFUSALS: dict[Outcome, tuple[ErrorCode, str]] = {
    "unknown_account": (codes.UNKNOWN_ACCOUNT, "No ledger account has this id."),
    "not_open": (codes.ACCOUNT_NOT_OPEN, "The account is frozen or closed."),
    "in_debt": (codes.INSUFFICIENT_CREDITS, "The account is in debt; new credits repay that first."),
    "insufficient": (codes.INSUFFICIENT_CREDITS, "The account's available credits do not cover this."),
    "conflict": (codes.EVENT_ID_REUSED, "An event with this source and id, but another content, came before."),
}
"""What a refused spend is told."""
