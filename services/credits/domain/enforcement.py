"""Adaptive enforcement: usage is taken as it comes while there is plenty; near nothing, work is to be held for first.

An account is near nothing while less can be spent than a set amount, or than it would burn within some minutes as fast
as it did in the last hour. Its services are told, by an event and with every balance. It is far again with twice that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from libs.contracts import catalogue
from libs.contracts.events import EnforcementChanged, Event, HoldsBlocked, HoldsUnblocked
from services.credits.domain.accounts import Account
from services.credits.domain.tallies import hour_of


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What a deployment has chosen; micro-credits."""

    holds_below: int | None = None
    minutes_ahead: int | None = None
    blocks_holds: bool = False

    @classmethod
    def of(cls, chosen: catalogue.Enforcement) -> Self:
        """Take it from the catalogue."""
        return cls(chosen.holds_below, chosen.holds_minutes_ahead, chosen.uncovered_usage == "block_holds")

    @property
    def adapts(self) -> bool:
        """Tell whether services are ever told to hold first."""
        return self.holds_below is not None or self.minutes_ahead is not None

    def near(self, account: Account, at: datetime) -> int:
        """Tell below how much an account is near nothing, as fast as it burns."""
        burnt = 0
        if self.minutes_ahead is not None and account.tally is not None:
            account.tally.roll(hour_of(at))
            burnt = account.tally.within_an_hour(at) * self.minutes_ahead // 60
        return max(self.holds_below or 0, burnt)


def possible_overdraft(state: str, *, available: int, limit: int) -> int:
    """Tell the largest overdraft that an account may come to, whatever is used, until its limit or state is changed."""
    return max(-available, 0, limit if state in ("open", "stopped") else 0)


def notice_enforcement(rules: Enforcement, accounts: Iterable[Account], *, at: datetime, told: list[Event]) -> None:
    """Tell of each account that, after all of a batch, came near nothing or far from it, or may place holds again."""
    adapts = rules.adapts
    for account in accounts:
        unblock_holds(account, at=at, told=told)
        if adapts:
            _notice_near(rules, account, at=at, told=told)


def _notice_near(rules: Enforcement, account: Account, *, at: datetime, told: list[Event]) -> None:
    near = rules.near(account, at)
    room = account.available + account.overdraft_limit
    hold_first = room < 2 * near if account.hold_first else room < near
    if hold_first is not account.hold_first:
        account.hold_first, account.marked = hold_first, True
        told.append(_changed(account, near, at))


def _unblocked(account: Account, at: datetime) -> HoldsUnblocked:
    return HoldsUnblocked(account=account.id, sequence=account.sequence, occurred_at=at, available=account.available)


def _changed(account: Account, near: int, at: datetime) -> EnforcementChanged:
    return EnforcementChanged(
        account=account.id,
        sequence=account.sequence,
        occurred_at=at,
        enforcement="holds" if account.hold_first else "events",
        available=account.available,
        near=near,
        possible_overdraft=possible_overdraft(
            account.state, available=account.available, limit=account.overdraft_limit
        ),
    )


def unblock_holds(account: Account, *, at: datetime, told: list[Event]) -> None:
    """Let an account place holds again that has now what its uncovered usage would have cost."""
    if account.uncovered is not None and account.available + account.overdraft_limit >= account.uncovered:
        account.uncovered, account.marked = None, True
        told.append(_unblocked(account, at))


def block_holds(account: Account, cost: int, *, at: datetime, told: list[Event]) -> None:
    """Let an account whose usage was not covered place no more holds, if that is its policy."""
    if not account.blocks_holds:
        return
    if account.uncovered is None:
        told.append(
            HoldsBlocked(
                account=account.id,
                sequence=account.sequence,
                occurred_at=at,
                uncovered=cost,
                available=account.available,
            )
        )
    account.uncovered, account.marked = max(account.uncovered or 0, cost), True
