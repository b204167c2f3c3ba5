"""The books as a batch sees them: what it may touch is in memory, and locked; what is decided here is what is written.

Postings are accepted or refused one after the other, in arrival order. Each accepted one becomes entries: amounts that
move from one bucket to another, lot by lot, with the balances after each.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from libs.contracts.catalogue import Catalogue
from libs.contracts.events import Event, LotExpired
from services.credits.domain.accounts import Account, BurntCharge, HeldCredits, Lot
from services.credits.domain.enforcement import Enforcement
from services.credits.domain.limits import Guard, Limits
from services.credits.domain.postings import PRIORITY, REPAID_DEBT, Metered, Outcome, Posting, Result, lot_beside

Entry = tuple[object, ...]
"""A row of the journal, in the order of the columns that `store.entries` writes."""

AVAILABLE, HELD, OVERDRAFT, DEBT = "available", "held", "overdraft", "debt"
REVENUE, BREAKAGE, TRANSIT, STRIPE, PROMOTION = "revenue", "breakage", "transit", "stripe", "promotion"


class Known(NamedTuple):
    """A posting under the same key that was accepted before: its content, and the balances after it."""

    fingerprint: UUID
    sequence: int
    available: int
    held: int
    debt: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a deployment has chosen."""

    fifo: bool = False
    """Burn by age alone."""
    capture_above_hold: bool = False
    """A capture may burn more than its hold has reserved, of what is available."""
    overdraft_limit: int = 0
    """How far below nothing an account may spend that has no limit of its own."""
    low_below: int = 0
    """Below how much an account is low that has no threshold of its own."""
    limits: Limits = field(default_factory=Limits)
    enforcement: Enforcement = field(default_factory=Enforcement)
    refunds_to_lots: bool = True
    """What a charge's refund gives back goes to the very lots that were burnt."""
    refunds_expire_after: timedelta | None = None
    """How long a lot lives that a charge's refund makes."""

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """Take them from the catalogue."""
        refund = catalogue.policies.charge_refund
        return cls(
            fifo=catalogue.burn_order == "fifo",
            capture_above_hold=catalogue.policies.capture_above_hold,
            overdraft_limit=catalogue.policies.overdraft,
            low_below=catalogue.low_balance.threshold,
            limits=Limits.of(catalogue.limits),
            enforcement=Enforcement.of(catalogue.enforcement),
            refunds_to_lots=refund.comes_back == "to_its_lots",
            refunds_expire_after=timedelta(days=days) if (days := refund.expires_after_days) else None,
        )

    @property
    def count_accounts(self) -> bool:
        """Tell whether what accounts spend is to be tallied: something is limited by it, or foreseen."""
        return self.limits.count_accounts or self.enforcement.minutes_ahead is not None


@dataclass(slots=True)
class Count:
    """What an account used of a meter in a period, in millionths of the meter's unit."""

    used: int = 0
    changed: bool = False


class Books:
    """Accounts, lots, holds and charges of one batch, by their ids, and the entries it makes."""

    def __init__(self, accounts: dict[UUID, Account], *, at: datetime, rules: Rules) -> None:
        self.accounts = accounts
        self.at = at
        self.rules = rules
        self.due: list[UUID] = []
        self.known: dict[UUID, Known] = {}
        self.repeats = True
        self.refused_usage: dict[UUID, set[UUID]] = {}
        self.funded: dict[tuple[str, str, str], Lot] = {}
        self.charged: dict[tuple[UUID, str, str], BurntCharge] = {}
        self.lots: dict[UUID, Lot] = {}
        self.holds: dict[UUID, HeldCredits] = {}
        self.charges: dict[UUID, BurntCharge] = {}
        self.counts: dict[tuple[UUID, str, str], Count] = {}
        self.entries: list[Entry] = []
        self.late: list[Lot] = []
        self.guard: Guard | None = None
        self.told: list[Event] = []
        self._posting: Posting
        self._leg = 0

    # What decisions are made of

    def begin(self, account: Account, posting: Posting) -> None:
        """Accept a posting: what moves from now on is its doing."""
        account.sequence += 1
        account.changed = True
        self._posting, self._leg = posting, 0

    def move(self, account: Account, lot: UUID | None, source: str, target: str, amount: int) -> None:
        """Write an entry; the account's balances are already as they are after it."""
        posting = self._posting
        cause = posting.cause
        first: Entry = _LATER_LEG
        if self._leg == 0:
            first = (
                posting.fingerprint,
                cause.reference_type,
                cause.reference_id,
                cause.description,
                cause.details,
                cause.price_version,
            )
        self.entries.append(
            (
                account.id,
                account.sequence,
                self._leg,
                cause.type,
                source,
                target,
                lot,
                amount,
                account.available,
                account.held,
                account.debt,
                posting.key,
                *first,
            )
        )
        self._leg += 1

    def price(self, posting: Posting, metered: Metered) -> None:
        """Say what a usage costs after all that was counted before it."""
        posting.used_before = self._count(posting.account, metered).used
        posting.amount = metered.rating.credits_after(posting.used_before)

    def count(self, posting: Posting, metered: Metered) -> None:
        """Count a usage that was accepted."""
        count = self._count(posting.account, metered)
        count.used += metered.rating.counted
        count.changed = True

    def _count(self, account: UUID, metered: Metered) -> Count:
        return self.counts.setdefault((account, metered.meter, metered.period), Count())

    def remember(self, posting: Posting, result: Result) -> None:
        """Know a posting of this batch, should it be repeated in it."""
        self.known[posting.key] = Known(
            posting.fingerprint, result.sequence, result.available, result.held, result.debt
        )

    def burn(self, account: Account, amount: int, target: str) -> list[tuple[Lot | None, int]]:
        """Move available credits away, lot by lot in burn order; what no lot covers is overdraft, a leg without one."""
        first = account.lots[0] if account.lots else None
        if first is not None and first.remaining > amount > 0:  # as nearly always
            first.remaining -= amount
            first.changed = True
            self._burn_part(account, first, amount, target)
            return [(first, amount)]
        parts: list[tuple[Lot | None, int]] = []
        left = amount
        for lot in account.lots:
            if left and lot.remaining:
                taken = min(left, lot.remaining)
                lot.remaining -= taken
                lot.changed = True
                left -= taken
                parts.append((lot, taken))
        if left or not parts:
            parts.append((None, left))
            if left:
                _note_overdraft(account)
        for part, taken in parts:
            self._burn_part(account, part, taken, target)
        return parts

    def _burn_part(self, account: Account, lot: Lot | None, amount: int, target: str) -> None:
        account.available -= amount
        if target == HELD:
            account.held += amount
        self.move(account, lot.id if lot else None, AVAILABLE, target, amount)

    def bring(self, account: Account, lot: Lot, amount: int, source: str) -> int:
        """Move credits into a lot: they repay overdraft, then debt; what is above its grant is a lot beside it.

        Answers what is left to be spent.
        """
        overdraft = min(amount, max(-account.available, 0))
        debt = min(amount - overdraft, account.debt)
        account.available += amount
        self.move(account, lot.id, source, AVAILABLE, amount)
        if overdraft:
            account.available -= overdraft
            self.move(account, lot.id, AVAILABLE, OVERDRAFT, overdraft)
            account.available += overdraft
            self.move(account, None, OVERDRAFT, AVAILABLE, overdraft)
        if debt:
            account.available -= debt
            account.debt -= debt
            self.move(account, lot.id, AVAILABLE, DEBT, debt)
        lot.remaining += amount - overdraft - debt
        lot.changed = True
        account.due_by(lot.expires_at)
        if lot.expired(self.at):
            self.late.append(lot)
        if lot.remaining > lot.granted:
            self._put_beside(account, lot, lot.remaining - lot.granted)
        return amount - overdraft - debt

    def _put_beside(self, account: Account, lot: Lot, above: int) -> None:
        """Make a lot of what is above another's grant: other lots repaid its debt, and what it had spent came back.

        That repayment is booked back: the new lot has it, and the full one owes it and repays it itself.
        """
        id, name = lot_beside(lot.id, account.sequence, self._leg, self.at)
        beside = Lot(
            id,
            above,
            kind="refunded",
            priority=PRIORITY["refunded"],
            granted=above,
            reference_type=REPAID_DEBT,
            reference_id=name,
            expires_at=lot.expires_at,
        )
        self.open_lot(account, beside)
        account.available += above
        account.debt += above
        self.move(account, beside.id, DEBT, AVAILABLE, above)
        lot.remaining -= above
        account.available -= above
        account.debt -= above
        self.move(account, lot.id, AVAILABLE, DEBT, above)
        if beside.expired(self.at):
            self.late.append(beside)

    def tell_expired(self, account: Account, lot: Lot, credits: int) -> None:
        """Tell that credits of a lot were written off."""
        self.told.append(
            LotExpired(
                account=account.id,
                sequence=account.sequence,
                occurred_at=self.at,
                lot=lot.id,
                kind=lot.kind,
                credits=credits,
                expired_at=lot.expires_at or self.at,
                available=account.available,
            )
        )

    def open_lot(self, account: Account, lot: Lot) -> None:
        """Add a new lot to the account."""
        lot.account, lot.granted_at, lot.new = account.id, self.at, True
        self.lots[lot.id] = lot
        self.funded[lot.kind, lot.reference_type, lot.reference_id] = lot
        account.lots.append(lot)
        account.sort(fifo=self.rules.fifo)
        account.due_by(lot.expires_at)

    # What decisions answer

    def accepted(self, account: Account, posting: Posting, *, credits: int = 0, debt_made: int = 0) -> Result:
        """Answer that the posting begun last is done."""
        return Result(
            posting,
            "accepted",
            account.sequence,
            account.available,
            account.held,
            account.debt,
            credits,
            debt_made,
        )

    def refused(self, account: Account, posting: Posting, outcome: Outcome) -> Result:
        """Answer that nothing happened, and what there is."""
        return Result(posting, outcome, account.sequence, account.available, account.held, account.debt)


_LATER_LEG = (None, None, None, None, None, None)


def _note_overdraft(account: Account) -> None:
    """Note the furthest limit under which the account ever spent more than it had: an auditor cannot know old ones."""
    if account.overdraft_limit > account.overdraft_ever:
        account.overdraft_ever, account.marked = account.overdraft_limit, True


def why_not(account: Account, amount: int, room: int) -> Outcome | None:
    """Tell why an account cannot spend or reserve an amount for which there is so much room; None if it can."""
    if account.state != "open":
        return "stopped" if account.state == "stopped" else "not_open"
    if account.debt > 0:
        return "in_debt"
    return "insufficient" if amount > room else None
