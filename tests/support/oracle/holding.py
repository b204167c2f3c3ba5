"""Holds and leases, as the oracle has them."""

from decimal import Decimal
from uuid import UUID

import msgspec

from services.credits.domain.postings import Capture, Extend, Hold, Lease, Release, Reserve, Settle
from tests.support.oracle.paper import Answer, Held
from tests.support.oracle.watch import Watch


class Holding(Watch):
    """What is reserved before it is spent."""

    capture_above_hold = False

    def now(self, id: UUID, outcome: str) -> Answer:
        """Answer with the balances as they are."""
        account = self.accounts[id]
        return Answer(outcome, account.sequence, self.available(id), self.held(id), account.debt)

    def refusal(self, id: UUID, amount: int, room: int) -> str | None:
        """Tell why an account may not spend or reserve: it is not open, owes something, or has too little."""
        account = self.accounts[id]
        if account.state != "open":
            return "stopped" if account.state == "stopped" else "not_open"
        if account.debt:
            return "in_debt"
        return "insufficient" if amount > room else None

    def place(self, posting: Hold) -> Answer:
        """Reserve, never on credit, and not for one who owes what he used."""
        id = posting.account
        if refusal := self._not_held(id, posting.amount) or self.beyond_limits(posting):
            return self.now(id, refusal)
        self.begin_for(id, posting)
        hold = Held(id, posting.amount, posting.expires_at, posting.ends_by, self.at, posting.actor)
        hold.metered = Decimal(0) if isinstance(posting, Lease) else None
        self.holds[posting.id] = hold
        self.burn(id, posting.amount, "held", into=hold)
        return self.now(id, "accepted")

    def _not_held(self, id: UUID, amount: int) -> str | None:
        blocked = self.accounts[id].uncovered is not None
        return "holds_blocked" if blocked else self.refusal(id, amount, self.available(id))

    def _open(self, id: UUID, name: UUID) -> Held | str:
        hold = self.holds.get(name)
        if hold is None or hold.account != id or hold.set_aside:
            return "no_hold"
        if hold.state != "pending":
            return "hold_expired" if hold.state == "expired" else "hold_settled"
        return hold

    def use_hold(self, posting: Capture | Release | Extend) -> Answer:
        """Capture a hold, release it, or let it live longer."""
        id, hold = posting.account, self._open(posting.account, posting.hold)
        if isinstance(hold, str):
            return self.now(id, hold)
        if isinstance(posting, Capture):
            return self._capture(posting, hold)
        if isinstance(posting, Release):
            if hold.left:
                self.begin_for(id, posting)
            freed = self.free(hold, "captured" if hold.captured else "released")
            return self.now(id, "accepted")._replace(moved=freed)
        if posting.expires_at > hold.ends_by:
            return self.now(id, "too_long")
        hold.expires_at = max(hold.expires_at, posting.expires_at)
        return self.now(id, "accepted")

    def _capture(self, posting: Capture, hold: Held) -> Answer:
        """Burn what is reserved, in the order in which it was, then what is available, if a charge could."""
        id, wanted = posting.account, posting.amount
        beyond = max(wanted - hold.left, 0)
        if beyond and not self.capture_above_hold:
            return self.now(id, "above_hold")
        room = self.available(id) + self.accounts[id].overdraft_limit
        asked = msgspec.structs.replace(posting, amount=beyond, actor=hold.actor)
        if beyond and (refusal := self.refusal(id, beyond, room) or self.beyond_limits(asked)):
            return self.now(id, refusal)
        self.begin_for(id, posting)
        self._burn_held(hold, wanted - beyond)
        if beyond:
            self.burn(id, beyond, "revenue")
        self.accounts[id].spent += posting.amount
        hold.captured += posting.amount
        if posting.final or not hold.left:
            self.free(hold, "captured")
        return self.now(id, "accepted")._replace(moved=posting.amount)

    def _burn_held(self, hold: Held, wanted: int) -> None:
        for part in hold.parts:
            if taken := min(part.left, wanted):
                wanted -= taken
                part.left -= taken
                self.write(hold.account, part.lot, "held", "revenue", taken)

    def use_lease(self, posting: Settle | Reserve) -> Answer:
        """Settle what a lease has metered, or reserve for it again."""
        id, lease = posting.account, self._open(posting.account, posting.lease)
        if isinstance(lease, Held) and lease.metered is None:
            lease = "no_hold"
        if isinstance(lease, str):
            return self.now(id, lease)
        return self._settle(posting, lease) if isinstance(posting, Settle) else self._reserve(posting, lease)

    def _settle(self, posting: Settle, lease: Held) -> Answer:
        """Burn what is owed by now: of what is reserved, then of what is there and may be spent, and no more."""
        id = posting.account
        owed = max(posting.amount - lease.captured, 0)
        reserved = min(owed, lease.left)
        room = self.available(id) + self.accounts[id].overdraft_limit if self.refusal(id, 0, 0) is None else 0
        beyond = min(owed - reserved, max(room, 0))
        if beyond:
            beyond = self.within_limits(msgspec.structs.replace(posting, amount=beyond, actor=lease.actor))
        if reserved + beyond or (posting.final and lease.left):
            self.begin_for(id, posting)
            self._burn_held(lease, reserved)
            if beyond:
                self.burn(id, beyond, "revenue")
            self.accounts[id].spent += reserved + beyond
            lease.captured += reserved + beyond
            lease.metered = max(lease.metered or Decimal(0), posting.quantity)
        if posting.final:
            self.free(lease, "captured" if lease.captured else "released")
        return self.now(id, "accepted")._replace(moved=reserved + beyond)

    def _reserve(self, posting: Reserve, lease: Held) -> Answer:
        """Reserve so much in all, or what there is of it, unless something is owed; let it live on in any case."""
        id = posting.account
        lease.expires_at = max(lease.expires_at, min(posting.expires_at, lease.ends_by))
        wanted = min(posting.amount - lease.left, self.available(id))
        asked = msgspec.structs.replace(posting, amount=wanted, actor=lease.actor)
        if posting.cost > lease.captured or wanted <= 0 or self._not_held(id, wanted):
            return self.now(id, "accepted")
        if self.beyond_limits(asked) is None:
            self.begin_for(id, posting)
            self.burn(id, wanted, "held", into=lease)
            lease.amount += wanted
        return self.now(id, "accepted")
