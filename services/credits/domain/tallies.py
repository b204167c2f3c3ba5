"""Tallies of what was spent lately, by an account or by an actor: a user or an API key that spends of it."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

HOUR = timedelta(hours=1)


def hour_of(instant: datetime) -> datetime:
    """Name the hour (UTC) in which an instant lies, by its beginning."""
    return instant.replace(minute=0, second=0, microsecond=0)


class Tally(msgspec.Struct, eq=False):
    """What was spent in the hour that is named, and in the one, the day and the month (UTC) around it; micro-credits.

    What a hold reserves is spent as it does; what it frees is given back to the hour in which it was reserved.
    """

    hour: datetime | None = None
    spent: int = 0
    spent_before: int = 0
    """In the hour before."""
    times_today: int = 0
    spent_today: int = 0
    spent_this_month: int = 0

    def roll(self, hour: datetime) -> None:
        """Begin anew whatever an hour begins anew: itself, its day, its month."""
        last = self.hour
        if last == hour:
            return
        self.spent_before = self.spent if last is not None and hour - last == HOUR else 0
        self.spent, self.hour = 0, hour
        if last is None or last.date() != hour.date():
            self.times_today = self.spent_today = 0
        if last is None or (last.year, last.month) != (hour.year, hour.month):
            self.spent_this_month = 0

    def within_an_hour(self, at: datetime) -> int:
        """Tell what was spent in the sixty minutes before, as if the hour before this one had been spent evenly."""
        gone = at.minute * 60 + at.second
        return self.spent + self.spent_before * (3600 - gone) // 3600

    def count(self, amount: int) -> None:
        """Note that this much was spent."""
        self.spent += amount
        self.spent_today += amount
        self.spent_this_month += amount

    def give_back(self, amount: int, *, counted_at: datetime) -> None:
        """Note that what was counted at an instant was not spent after all."""
        if self.hour is None:
            return
        counted = hour_of(counted_at)
        if counted == self.hour:
            self.spent = max(self.spent - amount, 0)
        elif self.hour - counted == HOUR:
            self.spent_before = max(self.spent_before - amount, 0)
        if counted.date() == self.hour.date():
            self.spent_today = max(self.spent_today - amount, 0)
        if (counted.year, counted.month) == (self.hour.year, self.hour.month):
            self.spent_this_month = max(self.spent_this_month - amount, 0)


class Actor(msgspec.Struct, eq=False):
    """Who spends of an account, such as `user:usr_...`: his limits, if he has any, and what he spent lately."""

    account: UUID
    name: str
    day_limit: int | None = None
    month_limit: int | None = None
    stopped: bool = False
    resumes_at: datetime | None = None
    tally: Tally = msgspec.field(default_factory=Tally)
    changed: bool = False

    def has_room_for(self, amount: int) -> bool:
        """Tell whether his own limits let him spend so much; the tally must be this hour's."""
        if self.day_limit is not None and self.tally.spent_today + amount > self.day_limit:
            return False
        return self.month_limit is None or self.tally.spent_this_month + amount <= self.month_limit

    def has_room_of(self, amount: int) -> int:
        """Tell how much of an amount his own limits let him spend; the tally must be this hour's."""
        if self.day_limit is not None:
            amount = min(amount, self.day_limit - self.tally.spent_today)
        if self.month_limit is not None:
            amount = min(amount, self.month_limit - self.tally.spent_this_month)
        return max(amount, 0)
