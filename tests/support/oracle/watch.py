"""The limits, as a watchman would keep them: who spent how much in which hour, on which day, in which month."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.credits.domain.enforcement import Enforcement
from services.credits.domain.limits import Limits
from services.credits.domain.postings import Capture, Posting, Usage
from tests.support.oracle.paper import Held, Paper

HOUR, DAY, MONTH = "%Y-%m-%d %H", "%Y-%m-%d", "%Y-%m"
Who = tuple[UUID, str | None]
"""An account, or one who spends of it."""


@dataclass
class Spender:
    """One who spends of an account: his own limits, and whether he is stopped."""

    day_limit: int | None = None
    month_limit: int | None = None
    stopped: bool = False
    resumes_at: datetime | None = None


class Watch(Paper):
    """Books beside which a watchman sits, who is asked before credits are spent, and told when a hold frees some."""

    def __init__(self, *, fifo: bool, limits: Limits, low_below: int, enforcement: Enforcement) -> None:
        super().__init__(fifo=fifo)
        self.limits = limits
        self.low_below = low_below
        self.enforcement = enforcement
        self.spenders: dict[Who, Spender] = {}
        self._spent: Counter[tuple[Who, str, str]] = Counter()
        self._transactions: Counter[tuple[UUID, str]] = Counter()

    def limit(self, id: UUID, name: str, *, day: int, month: int) -> None:
        """Say what one may spend of an account in a day, and in a month."""
        self.spenders[id, name] = Spender(day, month)

    def beyond_limits(self, posting: Posting) -> str | None:
        """Tell which limit a spend would pass, and stop who runs away. What passes none is counted."""
        new = not isinstance(posting, Capture)  # that one goes on with what its hold began
        transaction = self.limits.usage_counts or not isinstance(posting, Usage)
        refusal = (
            (self._of_a_transaction(posting, new=new) if transaction else None)
            or self._of_the_spender(posting)
            or self._of_the_account(posting)
        )
        if refusal is None:
            self.count(posting.account, posting.actor, posting.amount, at=self.at)
            self._transactions[posting.account, f"{self.at:{DAY}}"] += transaction and new
        return refusal

    def within_limits(self, asked: Posting) -> int:
        """Count as much of a spend as passes no limit, and tell how much it is; the rest may be asked for another time.

        First comes what is refused and no more: one spends too much at once, or is stopped, or has no more of his own.
        Of what that leaves the hour may have room for a part only: then the other part is a spend beyond the hour.
        """
        id, name, most = asked.account, asked.actor, self.limits.per_transaction
        if self._is_stopped(id, name):
            return 0
        allowed = _most(asked.amount, lambda n: (most is None or n <= most) and not self._beyond_his_own(id, name, n))
        fits = _most(allowed, lambda n: not self._beyond_the_hour(id, name, n))
        self.count(id, name, fits, at=self.at)
        if fits < allowed:
            rest = msgspec.structs.replace(asked, amount=allowed - fits)
            assert (self._of_the_spender(rest) or self._of_the_account(rest)) == "runaway"
        return fits

    def tally(self, who: Who, hour: datetime) -> tuple[int, ...]:
        """Read what was noted of one by an hour: of it, of the one before; of the day, and of a spender the month."""
        id, actor = who
        spent = [self._spent[who, HOUR, f"{at:{HOUR}}"] for at in (hour, hour - timedelta(hours=1))]
        if actor is None:
            return *spent, self._transactions[id, f"{hour:{DAY}}"]
        return *spent, self._spent[who, DAY, f"{hour:{DAY}}"], self._spent[who, MONTH, f"{hour:{MONTH}}"]

    def count(self, id: UUID, actor: str | None, amount: int, *, at: datetime) -> None:
        """Note that this much was spent, or less than nothing: given back to when it was noted, as far as it is."""
        for who in [(id, None), (id, actor)] if self._knows(id, actor) else [(id, None)]:
            for period in (HOUR, DAY, MONTH):
                noted = who, period, f"{at:{period}}"
                self._spent[noted] = max(self._spent[noted] + amount, 0)

    def free(self, hold: Held, state: str) -> int:
        """Count what it reserved no more, each part when it was reserved."""
        for part in hold.parts:
            if part.at is not None:
                self.count(hold.account, hold.actor, -part.left, at=part.at)
        return super().free(hold, state)

    def settle_what_is_due(self, id: UUID) -> None:
        """Let an account go on whose stop is over, before all else."""
        resumes_at = self.accounts[id].resumes_at
        if resumes_at is not None and resumes_at <= self.at:
            self._go_on(id, None, by=None)
        super().settle_what_is_due(id)

    def resume(self, id: UUID, actor: str | None, *, by: str) -> None:
        """Have staff let an account go on, or one who spends of it: his hour begins anew."""
        stopped = self.accounts[id].state == "stopped" if actor is None else self._spender(id, actor).stopped
        if stopped:
            self._go_on(id, actor, by=by)
            for noted in [noted for noted in self._spent if noted[:2] == ((id, actor), HOUR)]:
                del self._spent[noted]

    def notice_low(self, ids: Iterable[UUID]) -> None:
        """Tell of accounts that crossed the threshold, but not that one begins below it."""
        for id in ids:
            account, available = self.accounts[id], self.available(id)
            before, low = account.low, available < self.low_below
            if before is None and low:
                continue
            account.low = low
            if before is not None and before != low:
                self.tell("scrip.balance.low.v1", id, "dropped" if low else "recovered", available, self.low_below)

    def block_holds(self, id: UUID, cost: int) -> None:
        """Hold nothing from now on for an account whose usage was not covered, if it is so chosen."""
        if not self.enforcement.blocks_holds:
            return
        account = self.accounts[id]
        if account.uncovered is None:
            self.tell("scrip.holds.blocked.v1", id, cost, self.available(id))
        account.uncovered = max(account.uncovered or 0, cost)

    def unblock_holds(self, id: UUID) -> None:
        """Let an account hold again from the moment on at which it has what its usage would have cost."""
        account = self.accounts[id]
        if account.uncovered is not None and account.uncovered <= self.available(id) + account.overdraft_limit:
            account.uncovered = None
            self.tell("scrip.holds.unblocked.v1", id, self.available(id))

    def notice_enforcement(self, ids: Iterable[UUID]) -> None:
        """Tell of accounts that can hold again, and of those that came near nothing, or are far from it with twice."""
        chosen = self.enforcement
        for id in ids:
            account = self.accounts[id]
            self.unblock_holds(id)
            room = self.available(id) + account.overdraft_limit
            if chosen.holds_below is None and chosen.minutes_ahead is None:
                continue
            burns = self._within_an_hour(id, None) * (chosen.minutes_ahead or 0) // 60
            near = max(chosen.holds_below or 0, burns)
            was, account.hold_first = account.hold_first, room < near or (account.hold_first and room < 2 * near)
            if was != account.hold_first:
                said = "holds" if account.hold_first else "events"
                self.tell("scrip.enforcement.changed.v1", id, said, self.available(id), near, self._possible(id))

    def _possible(self, id: UUID) -> int:
        account = self.accounts[id]
        return max(account.overdraft, account.overdraft_limit if account.state in ("open", "stopped") else 0)

    def _of_a_transaction(self, posting: Posting, *, new: bool) -> str | None:
        most, often = self.limits.per_transaction, self.limits.transactions_per_day
        if most is not None and posting.amount > most:
            return "above_transaction_limit"
        if new and often is not None and self._transactions[posting.account, f"{self.at:{DAY}}"] >= often:
            return "too_many_transactions"
        return None

    def _of_the_spender(self, posting: Posting) -> str | None:
        id, name, amount = posting.account, posting.actor, posting.amount
        if name is None or not self._knows(id, name):
            return None
        if self._is_stopped(id, name):
            return "stopped"
        if self._beyond_his_own(id, name, amount):
            return "above_own_limit"
        if not self._runs_away(id, name, amount, self.limits.actor_per_hour):
            return None
        spender = self._spender(id, name)
        spender.stopped, spender.resumes_at = True, self._until()
        return "runaway"

    def _is_stopped(self, id: UUID, name: str | None) -> bool:
        """Tell whether one is stopped; if his time has come he goes on, now that he spends."""
        if name is None or not self._knows(id, name):
            return False
        spender = self._spender(id, name)
        if spender.stopped and spender.resumes_at is not None and spender.resumes_at <= self.at:
            self._go_on(id, name, by=None)
        return spender.stopped

    def _beyond_his_own(self, id: UUID, name: str | None, amount: int) -> bool:
        if name is None or not self._knows(id, name):
            return False
        spender = self._spender(id, name)
        return any(
            limit is not None and self._spent[(id, name), period, f"{self.at:{period}}"] + amount > limit
            for period, limit in ((DAY, spender.day_limit), (MONTH, spender.month_limit))
        )

    def _beyond_the_hour(self, id: UUID, name: str | None, amount: int) -> bool:
        """Tell whether a spend passes what may be spent within an hour: by him, or by all who spend of the account."""
        hours: list[tuple[str | None, int | None]] = [(None, self.limits.account_per_hour)]
        if self._knows(id, name):
            hours.append((name, self.limits.actor_per_hour))
        return any(limit is not None and self._within_an_hour(id, who) + amount > limit for who, limit in hours)

    def _of_the_account(self, posting: Posting) -> str | None:
        if not self._runs_away(posting.account, None, posting.amount, self.limits.account_per_hour):
            return None
        account = self.accounts[posting.account]
        account.state, account.resumes_at = "stopped", self._until()
        return "runaway"

    def _runs_away(self, id: UUID, actor: str | None, amount: int, limit: int | None) -> bool:
        """Tell whether a spend passes what may be spent within an hour, the last counted evenly; if so, tell all."""
        spent = self._within_an_hour(id, actor)
        if limit is None or spent + amount <= limit:
            return False
        self.tell("scrip.runaway.stopped.v1", id, actor, spent, limit, amount, self._until())
        return True

    def _within_an_hour(self, id: UUID, actor: str | None) -> int:
        before = self._spent[(id, actor), HOUR, f"{self.at - timedelta(hours=1):{HOUR}}"]
        return self._spent[(id, actor), HOUR, f"{self.at:{HOUR}}"] + before * (60 - self.at.minute) // 60

    def _go_on(self, id: UUID, actor: str | None, *, by: str | None) -> None:
        if actor is None:
            self.accounts[id].state, self.accounts[id].resumes_at = "open", None
        else:
            spender = self._spender(id, actor)
            spender.stopped, spender.resumes_at = False, None
        self.tell("scrip.runaway.resumed.v1", id, actor, by)

    def _until(self) -> datetime | None:
        return self.at + self.limits.resume_after if self.limits.resume_after else None

    def _knows(self, id: UUID, actor: str | None) -> bool:
        """Tell whether one is watched: if all are, or he has limits of his own."""
        return actor is not None and (self.limits.actor_per_hour is not None or (id, actor) in self.spenders)

    def _spender(self, id: UUID, name: str) -> Spender:
        return self.spenders.setdefault((id, name), Spender())


def _most(amount: int, passes: Callable[[int], bool]) -> int:
    """Find the largest part of an amount that passes, trying one after the other; nothing always does."""
    return max((part for part in range(1, amount + 1) if passes(part)), default=0)
