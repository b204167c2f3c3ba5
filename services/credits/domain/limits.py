"""Limits of spending, decided under the accounts' locks, so that they hold exactly, and the low-balance flag.

A spend that is beyond a limit is refused. One beyond what may be spent within an hour also stops whoever spends, in
the same transaction: until a set time or until somebody lets him go on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from libs.contracts import catalogue
from libs.contracts.events import Event, LowBalance, RunawayResumed, RunawayStopped
from services.credits.domain.accounts import Account
from services.credits.domain.postings import Capture, Outcome, Posting, Usage
from services.credits.domain.tallies import Actor, hour_of


@dataclass(frozen=True, slots=True)
class Limits:
    """What a deployment limits for every account: micro-credits, and how often."""

    per_transaction: int | None = None
    transactions_per_day: int | None = None
    usage_counts: bool = False
    account_per_hour: int | None = None
    actor_per_hour: int | None = None
    resume_after: timedelta | None = None

    @classmethod
    def of(cls, limits: catalogue.Limits) -> Self:
        """Take them from the catalogue."""
        minutes = limits.runaway.resume_after_minutes
        return cls(
            limits.maximum_per_transaction,
            limits.transactions_per_day,
            limits.usage_counts,
            limits.runaway.account_per_hour,
            limits.runaway.actor_per_hour,
            timedelta(minutes=minutes) if minutes else None,
        )

    @property
    def count_accounts(self) -> bool:
        """Tell whether an account's own tally is needed."""
        return self.transactions_per_day is not None or self.account_per_hour is not None

    @property
    def any(self) -> bool:
        """Tell whether there is anything to keep to."""
        return self.count_accounts or self.per_transaction is not None or self.actor_per_hour is not None


class Guard:
    """Keeps a batch's spends within the limits: admits each, and counts it, or tells why not."""

    def __init__(
        self, limits: Limits, actors: dict[tuple[UUID, str], Actor], *, at: datetime, told: list[Event]
    ) -> None:
        self.actors = actors
        self._limits = limits
        self._at = at
        self._hour = hour_of(at)
        self._told = told

    def admit(self, account: Account, posting: Posting) -> Outcome | None:
        """Count a spend that the account can cover; or tell which limit it would pass, and stop who runs away."""
        actor = self._in_this_hour(account, posting.actor)
        reason = self._as_transaction(account, posting) or self._of_spenders(account, actor, posting.amount)
        if reason is None:
            self._count(account, actor, posting.amount)
            if account.tally is not None and self._begins_a_transaction(posting):
                account.tally.times_today += 1
        return reason

    def admit_some(self, account: Account, name: str | None, amount: int) -> int:
        """Count as much of a lease's cost as may be spent, the account having it, and answer how much that is.

        What the hour has no room for is a spend beyond its limit, and stops who runs away.
        """
        actor = self._in_this_hour(account, name)
        most = self._limits.per_transaction
        wanted = amount if most is None else min(amount, most)
        if actor is not None:
            stopped = actor.stopped and not self._resumes(account, actor)
            wanted = 0 if stopped else actor.has_room_of(wanted)
        some = self._left_of_the_hour(account, actor, wanted)
        self._count(account, actor, some)
        if some < wanted:
            self._of_spenders(account, actor, wanted - some)
        return some

    def give_back(self, account: Account, actor: str | None, amount: int, *, counted_at: datetime) -> None:
        """Count no more what a hold had reserved at an instant, and frees."""
        found = self._in_this_hour(account, actor)
        if account.tally is not None:
            account.tally.give_back(amount, counted_at=counted_at)
        if found is not None:
            found.tally.give_back(amount, counted_at=counted_at)
            found.changed = True

    def _in_this_hour(self, account: Account, name: str | None) -> Actor | None:
        """Have the tallies of an account and of one who spends of it be this hour's; answers him, if he is watched."""
        if account.tally is not None:
            account.tally.roll(self._hour)
        actor = self.actors.get((account.id, name)) if name is not None else None
        if actor is not None:
            actor.tally.roll(self._hour)
        return actor

    def _count(self, account: Account, actor: Actor | None, amount: int) -> None:
        if account.tally is not None:
            account.tally.count(amount)
        if actor is not None:
            actor.tally.count(amount)
            actor.changed = True

    def _is_transaction(self, posting: Posting) -> bool:
        return self._limits.usage_counts or not isinstance(posting, Usage)

    def _begins_a_transaction(self, posting: Posting) -> bool:
        """Tell whether it is one more of the day: a capture belongs to its hold's, whatever it burns beyond."""
        return self._is_transaction(posting) and not isinstance(posting, Capture)

    def _as_transaction(self, account: Account, posting: Posting) -> Outcome | None:
        if not self._is_transaction(posting):
            return None
        most, often = self._limits.per_transaction, self._limits.transactions_per_day
        if most is not None and posting.amount > most:
            return "above_transaction_limit"
        if often is None or account.tally is None or not self._begins_a_transaction(posting):
            return None
        return "too_many_transactions" if account.tally.times_today >= often else None

    def _of_spenders(self, account: Account, actor: Actor | None, amount: int) -> Outcome | None:
        reason = self._of_actor(account, actor, amount) if actor is not None else None
        if reason is None and self._runs_away(account, amount):
            reason = "runaway"
        return reason

    def _left_of_the_hour(self, account: Account, actor: Actor | None, wanted: int) -> int:
        """Tell how much of it may be spent within this hour, by the account and by whoever spends of it."""
        if account.tally is not None and self._limits.account_per_hour is not None:
            wanted = min(wanted, self._limits.account_per_hour - account.tally.within_an_hour(self._at))
        if actor is not None and self._limits.actor_per_hour is not None:
            wanted = min(wanted, self._limits.actor_per_hour - actor.tally.within_an_hour(self._at))
        return max(wanted, 0)

    def _of_actor(self, account: Account, actor: Actor, amount: int) -> Outcome | None:
        if actor.stopped and not self._resumes(account, actor):
            return "stopped"
        if not actor.has_room_for(amount):
            return "above_own_limit"
        limit = self._limits.actor_per_hour
        spent = actor.tally.within_an_hour(self._at)
        if limit is None or spent + amount <= limit:
            return None
        actor.stopped, actor.resumes_at, actor.changed = True, self._until(), True
        self._tell_stop(account, actor.name, spent=spent, limit=limit, refused=amount)
        return "runaway"

    def _resumes(self, account: Account, actor: Actor) -> bool:
        """Let an actor go on if his time has come; nobody looks before he spends again."""
        if actor.resumes_at is None or actor.resumes_at > self._at:
            return False
        actor.stopped, actor.resumes_at, actor.changed = False, None, True
        self._told.append(resumed(account, actor.name, at=self._at))
        return True

    def _runs_away(self, account: Account, amount: int) -> bool:
        limit = self._limits.account_per_hour
        if limit is None or account.tally is None:
            return False
        spent = account.tally.within_an_hour(self._at)
        if spent + amount <= limit:
            return False
        account.state, account.resumes_at = "stopped", self._until()
        account.marked = account.changed = True
        account.due_by(account.resumes_at)
        self._tell_stop(account, None, spent=spent, limit=limit, refused=amount)
        return True

    def _until(self) -> datetime | None:
        return self._at + self._limits.resume_after if self._limits.resume_after else None

    def _tell_stop(self, account: Account, actor: str | None, *, spent: int, limit: int, refused: int) -> None:
        self._told.append(
            RunawayStopped(
                account=account.id,
                sequence=account.sequence,
                occurred_at=self._at,
                actor=actor,
                spent=spent,
                limit=limit,
                refused=refused,
                resumes_at=self._until(),
            )
        )


def resumed(account: Account, actor: str | None = None, *, at: datetime, by: str | None = None) -> RunawayResumed:
    """Tell that a stop is over: an actor's, or the whole account's."""
    return RunawayResumed(account=account.id, sequence=account.sequence, occurred_at=at, actor=actor, by=by)


def resume_in_time(account: Account, *, at: datetime, told: list[Event]) -> None:
    """End a stop whose time is over."""
    if account.state == "stopped" and account.resumes_at is not None and account.resumes_at <= at:
        account.state, account.resumes_at, account.marked = "open", None, True
        told.append(resumed(account, at=at))


def notice_low(accounts: Iterable[Account], *, at: datetime, told: list[Event]) -> None:
    """Tell of each account whose balance, after all of a batch, lies on the other side of its threshold.

    An account begins low, and that is no news: it is told of once it has had more than its threshold.
    """
    for account in accounts:
        low = account.available < account.low_below
        if low is account.low or (low and account.low is None):
            continue
        if account.low is not None:
            told.append(_crossing(account, low=low, at=at))
        account.low, account.marked = low, True


def _crossing(account: Account, *, low: bool, at: datetime) -> LowBalance:
    return LowBalance(
        account=account.id,
        sequence=account.sequence,
        occurred_at=at,
        change="dropped" if low else "recovered",
        available=account.available,
        threshold=account.low_below,
    )
