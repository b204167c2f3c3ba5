"""Books as one would keep them on paper: dicts of accounts, lots, holds and charges, and a journal.

Everything is gone through at every question, and what can be counted is counted anew each time.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from services.credits.domain.postings import Posting, lot_beside

BURNT_FIRST = [("promotional",), ("granted",), ("membership",), ("refunded", "transferred"), ("purchased",)]


@dataclass
class Account:
    """Whose credits; what is available and held stands in his lots and holds."""

    state: str = "open"
    overdraft_limit: int = 0
    overdraft: int = 0
    debt: int = 0
    sequence: int = 0
    earned: int = 0
    purchased: int = 0
    spent: int = 0
    expired: int = 0
    refunded: int = 0
    resumes_at: datetime | None = None
    low: bool | None = None
    uncovered: int | None = None
    hold_first: bool = True


@dataclass
class Lot:
    """Credits that came together."""

    account: UUID
    kind: str
    granted: int
    reference: tuple[str, str]
    expires_at: datetime | None = None
    cost: tuple[int | None, str | None] = (None, None)
    remaining: int = 0
    taken_back: int = 0
    revision: int = 0


@dataclass
class Part:
    """What a hold reserved of a lot, when, and what is left of that; of what is set aside nobody asks when."""

    lot: UUID
    reserved: int
    left: int
    at: datetime | None = None


@dataclass
class Held:
    """A hold: what it reserved of lots, in that order; `metered` is how much of a lease's use was written down."""

    account: UUID
    amount: int
    expires_at: datetime
    ends_by: datetime
    placed_at: datetime
    actor: str | None = None
    state: str = "pending"
    captured: int = 0
    parts: list[Part] = field(default_factory=list)
    metered: Decimal | None = None
    set_aside: bool = False

    @property
    def left(self) -> int:
        """Count what it reserves still."""
        return sum(part.left for part in self.parts)


@dataclass
class Charged:
    """A charge: what it burnt of each lot (of none: overdraft), in that order, and has not given back."""

    account: UUID
    amount: int
    reference: tuple[str | None, str | None]
    burnt: list[tuple[UUID | None, int]]
    refunded: int = 0


class Entry(NamedTuple):
    """A row of the journal. What the ledger does by itself, at an expiry, has a key that is not ours to know."""

    account: UUID
    sequence: int
    leg: int
    at: datetime
    type: str
    source: str
    target: str
    lot: UUID | None
    amount: int
    available: int
    held: int
    debt: int
    key: UUID | None


class Answer(NamedTuple):
    """What becomes of a posting, and the balances after it or, if it is refused, as they are."""

    outcome: str
    sequence: int = 0
    available: int = 0
    held: int = 0
    debt: int = 0
    moved: int = 0
    debt_made: int = 0
    charge: UUID | None = None


class Told(NamedTuple):
    """What others are told: of which account, at which sequence, and the rest of it in the order of its contract."""

    type: str
    account: UUID
    sequence: int
    said: tuple[Any, ...]


class Paper:
    """The books, and what every rule is made of. First a thing is changed; then it is written, with what it left."""

    def __init__(self, *, fifo: bool) -> None:
        self.fifo = fifo
        self.accounts: dict[UUID, Account] = {}
        self.lots: dict[UUID, Lot] = {}
        self.holds: dict[UUID, Held] = {}
        self.charges: dict[UUID, Charged] = {}
        self.entries: list[Entry] = []
        self.told: list[Told] = []
        self.at = datetime.min.replace(tzinfo=UTC)
        self._posting: tuple[str, UUID | None] = ("", None)
        self._leg = 0

    def available(self, id: UUID) -> int:
        """Count what can be spent; below zero it is overdraft."""
        return sum(lot.remaining for lot in self.lots.values() if lot.account == id) - self.accounts[id].overdraft

    def held(self, id: UUID) -> int:
        """Count what is reserved."""
        return sum(hold.left for hold in self.holds.values() if hold.account == id)

    def burn_order(self, id: UUID) -> list[UUID]:
        """List an account's lots, the one to burn first first; the older one has the lower id."""
        lots = sorted(lot for lot in self.lots if self.lots[lot].account == id)
        return lots if self.fifo else sorted(lots, key=self._urgency)  # sorting leaves the older before the younger

    def _urgency(self, id: UUID) -> tuple[int, float]:
        lot = self.lots[id]
        (priority,) = (place for place, kinds in enumerate(BURNT_FIRST) if lot.kind in kinds)
        return priority, lot.expires_at.timestamp() if lot.expires_at else float("inf")

    def gone(self, lot: UUID) -> bool:
        """Tell whether a lot has expired: from its very instant on."""
        expires_at = self.lots[lot].expires_at
        return expires_at is not None and expires_at <= self.at

    def begin(self, id: UUID, type: str, key: UUID | None) -> None:
        """Count a posting of an account; what is written next is its doing."""
        self.accounts[id].sequence += 1
        self._posting, self._leg = (type, key), 0

    def begin_for(self, id: UUID, posting: Posting) -> None:
        """Count a posting that was asked for."""
        self.begin(id, posting.cause.type, posting.key)

    def write(self, id: UUID, lot: UUID | None, source: str, target: str, amount: int) -> None:
        """Write down what moved, and what there is after it."""
        account, (type, key) = self.accounts[id], self._posting
        left = self.available(id), self.held(id), account.debt
        self.entries.append(
            Entry(id, account.sequence, self._leg, self.at, type, source, target, lot, amount, *left, key)
        )
        self._leg += 1

    def tell(self, type: str, id: UUID, *said: Any) -> None:
        """Tell others what happened to an account."""
        self.told.append(Told(type, id, self.accounts[id].sequence, said))

    def burn(self, id: UUID, amount: int, target: str, *, into: Held | None = None) -> list[tuple[UUID | None, int]]:
        """Take credits from lots in burn order; what no lot has is overdraft. Nothing at all is written too."""
        burnt: list[tuple[UUID | None, int]] = []
        for lot in self.burn_order(id):
            if taken := min(amount, self.lots[lot].remaining):
                amount -= taken
                self.lots[lot].remaining -= taken
                if into is not None:
                    into.parts.append(Part(lot, taken, taken, self.at))
                self.write(id, lot, "available", target, taken)
                burnt.append((lot, taken))
        if amount or not burnt:
            self.accounts[id].overdraft += amount
            self.write(id, None, "available", target, amount)
            burnt.append((None, amount))
        return burnt

    def bring(self, lot: UUID, amount: int, source: str) -> None:
        """Put credits into a lot; overdraft is repaid from there, then debt."""
        id = self.lots[lot].account
        account = self.accounts[id]
        self.lots[lot].remaining += amount
        self.write(id, lot, source, "available", amount)
        if repaid := min(amount, account.overdraft):
            self.lots[lot].remaining -= repaid
            self.write(id, lot, "available", "overdraft", repaid)
            account.overdraft -= repaid
            self.write(id, None, "overdraft", "available", repaid)
        if settled := min(amount - repaid, account.debt):
            self.lots[lot].remaining -= settled
            account.debt -= settled
            self.write(id, lot, "available", "debt", settled)
        if (too_much := self.lots[lot].remaining - self.lots[lot].granted) > 0:
            self._lay_beside(lot, too_much)

    def _lay_beside(self, full: UUID, too_much: int) -> None:
        """Give back to a lot of its own what other lots paid of a debt that there is no more.

        No lot has more than came with it. What it gets beyond, others had paid for: a new lot takes that out of the
        debt, and lives as long as the full one, which pays it in again.
        """
        id = self.lots[full].account
        account = self.accounts[id]
        beside, reference = lot_beside(full, account.sequence, self._leg, self.at)
        self.lots[beside] = Lot(id, "refunded", too_much, ("repaid_debt", reference), self.lots[full].expires_at)
        self.lots[beside].remaining = too_much
        account.debt += too_much
        self.write(id, beside, "debt", "available", too_much)
        self.lots[full].remaining -= too_much
        account.debt -= too_much
        self.write(id, full, "available", "debt", too_much)

    def free(self, hold: Held, state: str) -> int:
        """Give back what a hold reserves still, lot by lot; what has expired meanwhile is written off."""
        freed = hold.left
        for part in hold.parts:
            left, part.left = part.left, 0
            if left and self.gone(part.lot):
                self.accounts[hold.account].expired += left
                self.write(hold.account, part.lot, "held", "breakage", left)
                self.tell("scrip.lot.expired.v1", hold.account, part.lot, left)
            elif left:
                self.bring(part.lot, left, "held")
        hold.state = state
        return freed

    def settle_what_is_due(self, id: UUID) -> None:
        """Free an account's holds whose instant has come, then write off its lots whose has."""
        due = [(hold.expires_at, name.bytes) for name, hold in self.holds.items() if hold.account == id]
        for _, name in sorted(due):
            hold = self.holds[UUID(bytes=name)]
            if hold.state == "pending" and hold.expires_at <= self.at:
                if hold.left:
                    self.begin(id, "release", None)
                freed = self.free(hold, "expired")
                self.tell("scrip.hold.expired.v1", id, UUID(bytes=name), freed)
        self.write_off(id)

    def write_off(self, id: UUID) -> None:
        """Write off what remains in an account's expired lots."""
        for lot in self.burn_order(id):
            if (remaining := self.lots[lot].remaining) and self.gone(lot):
                self.begin(id, "expiry", None)
                self.lots[lot].remaining = 0
                self.accounts[id].expired += remaining
                self.write(id, lot, "available", "breakage", remaining)
                self.tell("scrip.lot.expired.v1", id, lot, remaining)
