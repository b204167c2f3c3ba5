"""The oracle: what becomes of every posting, told by plain Python that shares nothing with the ledger but its postings,
and the names of its limits.

Written from the specification: where the two differ, one of them is wrong.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.credits.domain.enforcement import Enforcement
from services.credits.domain.limits import Limits
from services.credits.domain.postings import (
    Capture,
    Charge,
    ChargeRefund,
    Extend,
    Grant,
    Hold,
    Lease,
    Posting,
    Release,
    Reserve,
    SetAside,
    Settle,
    Spend,
    TakeBack,
    Transfer,
    Usage,
)
from tests.support.oracle.holding import Holding
from tests.support.oracle.paper import Account, Answer, Charged, Held, Lot, Part

PAID_FOR = ("purchased", "membership")


NO_LIMITS = Limits()
AS_IT_COMES = Enforcement()


class Oracle(Holding):
    """The ledger's rules."""

    def __init__(
        self,
        *,
        fifo: bool = False,
        capture_above_hold: bool = False,
        limits: Limits = NO_LIMITS,
        low_below: int = 0,
        enforcement: Enforcement = AS_IT_COMES,
    ) -> None:
        super().__init__(fifo=fifo, limits=limits, low_below=low_below, enforcement=enforcement)
        self.capture_above_hold = capture_above_hold
        self.burnt: dict[UUID, tuple[UUID, Answer]] = {}
        self.refused: dict[UUID, dict[UUID, Answer]] = {}
        self._batch: dict[UUID, tuple[UUID, Answer]] = {}
        self._rules: dict[type[Posting], Callable[[Any], Answer]] = {
            Spend: self._spend,
            Usage: self._spend,
            Charge: self._charge,
            ChargeRefund: self._refund,
            Transfer: self._transfer,
            Hold: self.place,
            Lease: self.place,
            Capture: self.use_hold,
            Release: self.use_hold,
            Extend: self.use_hold,
            Settle: self.use_lease,
            Reserve: self.use_lease,
            Grant: self._grant,
            SetAside: self._set_aside,
            TakeBack: self._take_back,
        }

    def apply(self, postings: Sequence[Posting], *, at: datetime, due: Collection[UUID] = ()) -> list[Answer]:
        """Do what a batch asks for, one posting after the other, once what is due has been done."""
        self.at, self._batch = at, {}
        for posting in postings:
            if isinstance(posting, Grant):
                self.accounts.setdefault(posting.account, Account())
        named = {id for posting in postings for id in _named(posting)}
        for id in named.union(due) & self.accounts.keys():
            self.settle_what_is_due(id)
        answers = [self._answer(posting) for posting in postings]
        self.notice_low(named.union(due) & self.accounts.keys())
        self.notice_enforcement(named.union(due) & self.accounts.keys())
        return answers

    def _answer(self, posting: Posting) -> Answer:
        """Decide a posting, once: usage for ever, anything else at least within its batch."""
        if before := self.burnt.get(posting.key) or self._batch.get(posting.key):
            content, then = before
            answer = then._replace(outcome="duplicate" if content == posting.fingerprint else "conflict")
        elif refused := self.refused.get(posting.key):
            answer = Answer("duplicate_rejected" if posting.fingerprint in refused else "conflict")
        else:
            answer = self._decide(posting)
        self._remember(posting, answer)
        return answer

    def _remember(self, posting: Posting, answer: Answer) -> None:
        if answer.outcome == "accepted":
            known = self.burnt if isinstance(posting, Usage) else self._batch
            known[posting.key] = posting.fingerprint, answer._replace(moved=0, debt_made=0, charge=None)
            for id in _named(posting):  # credits that come too late to be spent are not left lying about
                self.write_off(id)
        elif isinstance(posting, Usage) and not answer.outcome.startswith("duplicate"):
            self.refused.setdefault(posting.key, {}).setdefault(posting.fingerprint, answer)

    def _decide(self, posting: Posting) -> Answer:
        if posting.account not in self.accounts:
            return Answer("unknown_account")
        self.unblock_holds(posting.account)
        return self._rules[type(posting)](posting)

    # Spending

    def _spend(self, posting: Spend) -> Answer:
        id = posting.account
        room = self.available(id) + self.accounts[id].overdraft_limit
        if refusal := self.refusal(id, posting.amount, room) or self.beyond_limits(posting):
            if refusal == "insufficient" and isinstance(posting, Usage):
                self.block_holds(id, posting.amount)
            return self.now(id, refusal)
        self.begin_for(id, posting)
        self.burn(id, posting.amount, "revenue")
        self.accounts[id].spent += posting.amount
        return self.now(id, "accepted")

    def _charge(self, posting: Charge) -> Answer:
        """Spend, once for a reference."""
        reference = posting.cause.reference_type, posting.cause.reference_id
        for id, charge in self.charges.items():
            if all(reference) and (charge.account, charge.reference) == (posting.account, reference):
                said = "duplicate" if charge.amount == posting.amount else "reference_reused"
                return self.now(posting.account, said)._replace(charge=id)
        before = len(self.entries)
        answer = self._spend(posting)
        if answer.outcome != "accepted":
            return answer
        burnt = [(entry.lot, entry.amount) for entry in self.entries[before:]]
        self.charges[posting.id] = Charged(posting.account, posting.amount, reference, burnt)
        return answer._replace(charge=posting.id)

    def _refund(self, posting: ChargeRefund) -> Answer:
        """Give back what was burnt last first; what has no lot to go to comes before the rest, in a lot of its own."""
        id, charge = posting.account, self.charges.get(posting.charge)
        if charge is None or charge.account != id:
            return self.now(id, "no_charge")
        amount = posting.amount or charge.amount - charge.refunded
        if not 0 < amount <= charge.amount - charge.refunded:
            return self.now(id, "above_charge")._replace(charge=posting.charge)
        self.begin_for(id, posting)
        back = _unburn(charge, amount)
        if homeless := sum(part for lot, part in back if lot is None or self.gone(lot)):
            self.lots[posting.lot] = Lot(id, "refunded", homeless, ("charge_refund", str(posting.lot)))
            self.bring(posting.lot, homeless, "revenue")
        for lot, part in back:
            if lot is not None and not self.gone(lot):
                self.bring(lot, part, "revenue")
        charge.refunded += amount
        self.accounts[id].spent -= amount
        return self.now(id, "accepted")._replace(moved=amount, charge=posting.charge)

    def _transfer(self, posting: Transfer) -> Answer:
        """Move credits, never on credit; what arrives expires when the first of what left does."""
        id, to = posting.account, posting.to
        if to not in self.accounts:
            return self.now(id, "unknown_account")
        if refusal := self.refusal(id, posting.amount, self.available(id)):
            return self.now(id, refusal)
        if self.accounts[to].state not in ("open", "stopped"):
            return self.now(id, "not_open")
        if refusal := self.beyond_limits(posting):
            return self.now(id, refusal)
        self.begin_for(id, posting)
        burnt = self.burn(id, posting.amount, "transit")
        self.accounts[id].spent += posting.amount
        answer = self.now(id, "accepted")
        expiries = [expires for lot, _ in burnt if lot and (expires := self.lots[lot].expires_at)]
        self.begin_for(to, posting)
        reference = "transfer", str(posting.key)
        self.lots[posting.lot] = Lot(to, "transferred", posting.amount, reference, min(expiries, default=None))
        self.bring(posting.lot, posting.amount, "transit")
        self.accounts[to].earned += posting.amount
        return answer

    # Funding

    def _grant(self, posting: Grant) -> Answer:
        """Give a lot, once for a reference and kind, whoever it was given to; what was paid for is never refused."""
        id, cost = posting.account, (posting.cost_minor, posting.currency)
        reference = posting.cause.reference_type or "", posting.cause.reference_id or ""
        for lot in self.lots.values():
            if (lot.kind, lot.reference) == (posting.kind, reference):
                same = (lot.account, lot.granted, lot.cost) == (id, posting.amount, cost)
                return self.now(id, "duplicate" if same else "conflict")
        if self.accounts[id].state == "closed" and posting.cost_minor is None:
            return self.now(id, "not_open")
        self.begin_for(id, posting)
        self.lots[posting.lot] = Lot(id, posting.kind, posting.amount, reference, posting.expires_at, cost)
        self.bring(posting.lot, posting.amount, "stripe" if posting.kind in PAID_FOR else "promotion")
        if posting.kind in PAID_FOR:
            self.accounts[id].purchased += posting.amount
        else:
            self.accounts[id].earned += posting.amount
        return self.now(id, "accepted")._replace(moved=posting.amount)

    def _set_aside(self, posting: SetAside) -> Answer:
        """Hold what is left of a payment's lot, as its money may go back: some of it, or all that is asked for."""
        id = posting.account
        if posting.id in self.holds:
            return self.now(id, "duplicate")
        name = self._lot_of(posting)
        if name is None:
            return self.now(id, "no_lot")
        lot = self.lots[name]
        if posting.revision and posting.revision <= lot.revision:
            return self.now(id, "duplicate")
        if posting.whole and lot.remaining < posting.amount:
            return self.now(id, "spent")
        amount = min(posting.amount, lot.remaining)
        if amount:
            self.begin_for(id, posting)
            lot.remaining -= amount
            hold = Held(id, amount, posting.expires_at, posting.expires_at, self.at, set_aside=True)
            hold.parts.append(Part(name, amount, amount))
            self.holds[posting.id] = hold
            self.write(id, name, "available", "held", amount)
        return self.now(id, "accepted")._replace(moved=amount)

    def _take_back(self, posting: TakeBack) -> Answer:
        """Follow the total, never above the grant: what its lot has no more is owed; what is given again goes to it."""
        id, name = posting.account, self._lot_of(posting)
        if name is None:
            return self.now(id, "no_lot")
        lot = self.lots[name]
        named = [self.holds[hold] for hold in posting.set_aside if hold in self.holds]
        aside = [hold for hold in named if hold.state == "pending"]
        if posting.revision <= lot.revision:
            return self._free_late(posting, aside)
        total = min(posting.amount, lot.granted)
        there = lot.remaining + sum(part.left for hold in aside for part in hold.parts)
        if not posting.owed and total > lot.taken_back + there:
            total = lot.taken_back + there
        change = total - lot.taken_back
        lot.revision, lot.taken_back = posting.revision, total
        if change == 0 and not aside:
            return self.now(id, "unchanged")
        self.begin_for(id, posting)
        self.accounts[id].refunded += change
        if change < 0:
            self.bring(name, -change, "stripe")
        owed = self._take(name, max(change, 0), aside)
        for hold in aside:
            self.free(hold, "captured" if hold.captured else "released")
        return self.now(id, "accepted")._replace(moved=change, debt_made=owed)

    def _free_late(self, posting: TakeBack, aside: Sequence[Held]) -> Answer:
        """Free what was set aside for what an older revision names as over; it changes nothing else."""
        if not aside:
            return self.now(posting.account, "duplicate")
        self.begin_for(posting.account, posting)
        for hold in aside:
            self.free(hold, "released")
        return self.now(posting.account, "accepted")

    def _lot_of(self, posting: SetAside | TakeBack) -> UUID | None:
        """Find the lot that a payment brought an account."""
        reference = posting.cause.reference_type or "", posting.cause.reference_id or ""
        named = posting.account, posting.kind, reference
        found = [name for name, lot in self.lots.items() if (lot.account, lot.kind, lot.reference) == named]
        return found[0] if found else None

    def _take(self, name: UUID, amount: int, aside: Sequence[Held]) -> int:
        lot = self.lots[name]
        for hold in aside:
            (part,) = hold.parts
            if taken := min(amount, part.left):
                amount -= taken
                part.left -= taken
                hold.captured += taken
                self.write(lot.account, name, "held", "stripe", taken)
        if taken := min(amount, lot.remaining):
            lot.remaining -= taken
            self.write(lot.account, name, "available", "stripe", taken)
        if owed := amount - taken:
            self.accounts[lot.account].debt += owed
            self.write(lot.account, name, "debt", "stripe", owed)
        return owed


def _named(posting: Posting) -> list[UUID]:
    return [posting.account, posting.to] if isinstance(posting, Transfer) else [posting.account]


def _unburn(charge: Charged, amount: int) -> list[tuple[UUID | None, int]]:
    """Take from a charge what it burnt last."""
    back = []
    while amount:
        lot, burnt = charge.burnt.pop()
        back.append((lot, min(burnt, amount)))
        if burnt > amount:
            charge.burnt.append((lot, burnt - amount))
        amount -= back[-1][1]
    return back
