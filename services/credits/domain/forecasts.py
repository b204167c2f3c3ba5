"""Forecasts: when an account runs out of credits, and what expires unused, from what it burnt day by day.

The future is drawn from the past, many times over: each path draws a history of its own from the days there were, and
from that, weekday by weekday, the days to come. How far the paths lie apart is the uncertainty: of the days themselves,
and of how few of them are known.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

HISTORY_DAYS = 56
"""How far back the days lie from which the future is drawn."""
LOOKED_BACK_DAYS = 2 * HISTORY_DAYS
"""How far back one looks for whether an account had begun by then: who seldom burns has begun before it last did."""
HORIZON_DAYS = 180
CONFIDENCE_PERCENT = 80
"""In so many cases of a hundred it lies between the earliest and the latest."""
_LEFT_OUT_PERCENT = 6
"""Of the paths on either side: fewer than the confidence leaves, since a few days lie closer together than all do."""
_PATHS = 100
_A_DAY = 86_400
_FEWEST_DAYS = 3
_LEAST_SILENCE = 7
_LONG_SILENCE = 28
_SILENCES = 3


class Remaining(NamedTuple):
    """What is left of a lot, and when it expires."""

    credits: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """When credits run out; None is not within the horizon. And how many of them expire before they are burnt."""

    likely: datetime | None
    earliest: datetime | None
    latest: datetime | None
    expiring: int


class _End(NamedTuple):
    seconds: int
    """From now on until nothing is left; the horizon, if it never is."""
    expired: int


_HORIZON_SECONDS = HORIZON_DAYS * _A_DAY


def forecast(
    burnt: Sequence[tuple[date, int]], lots: Sequence[Remaining], now: datetime, *, seed: UUID
) -> Forecast | None:
    """Look ahead from now; `burnt` are the whole days before today since the account was opened, without a gap.

    Lots come in burn order. None, if too few days are known. The same account is told the same twice: chance is seeded.
    """
    days = _alive(known(burnt))
    if len(days) < _FEWEST_DAYS:
        return None
    chance = random.Random(seed.int)  # noqa: S311 - chance, not a secret
    ends = sorted(_walk(_Path(days, chance), lots, now) for _ in range(_PATHS))
    margin = _PATHS * _LEFT_OUT_PERCENT // 100
    earliest, likely, latest = (_instant(now, ends[at].seconds) for at in (margin, _PATHS // 2, -margin - 1))
    return Forecast(likely, earliest, latest, sorted(end.expired for end in ends)[_PATHS // 2])


def known(burnt: Sequence[tuple[date, int]]) -> Sequence[tuple[date, int]]:
    """Leave out the days before an account first burnt something: of one that never did, none.

    Also those before it began anew, after a silence that is long and far longer than any since.
    """
    longest = silence = busy = first = 0
    for number in range(len(burnt) - 1, -1, -1):
        if not burnt[number][1]:
            silence += 1
            continue
        if busy >= _FEWEST_DAYS and silence > max(_LONG_SILENCE, _SILENCES * longest):
            break
        longest, silence, busy, first = max(longest, silence), 0, busy + 1, number
    return burnt[max(first, len(burnt) - HISTORY_DAYS) :]


def _alive(days: Sequence[tuple[date, int]]) -> Sequence[tuple[date, int]]:
    """Leave out what was before a silence that is far longer than any: who has stopped is not going on."""
    last = max((number for number, (_, credits) in enumerate(days, 1) if credits), default=0)
    silence = len(days) - last
    return days[last:] if silence > max(_LEAST_SILENCE, _SILENCES * _longest_silence(days[:last])) else days


def _longest_silence(days: Sequence[tuple[date, int]]) -> int:
    longest = run = 0
    for _, credits in days:
        run = 0 if credits else run + 1
        longest = max(longest, run)
    return longest


class _Path:
    """A future: days drawn from a history that is drawn itself."""

    def __init__(self, days: Sequence[tuple[date, int]], chance: random.Random) -> None:
        self._chance = chance
        self._by_weekday: list[list[int]] = [[] for _ in range(7)]
        for day, credits in days:
            self._by_weekday[day.weekday()].append(credits)
        drawn = [chance.choices(known, k=len(known)) if known else [] for known in self._by_weekday]
        everything = [credits for known in drawn for credits in known]
        self._drawn = [known if len(known) >= _FEWEST_DAYS else everything for known in drawn]

    def burn(self, weekday: int) -> int:
        """Draw what a day burns."""
        return self._chance.choice(self._drawn[weekday])


def _walk(path: _Path, lots: Sequence[Remaining], now: datetime) -> _End:
    """Burn day by day until nothing is left; what expires meanwhile is lost."""
    left = _Left(lots)
    expired, seconds, at = 0, 0, now
    lasts = _A_DAY - (now.hour * 3600 + now.minute * 60 + now.second)
    while seconds < _HORIZON_SECONDS:
        expired += left.expire(at)
        burn = path.burn(at.weekday()) * lasts // _A_DAY
        if burn >= left.credits:
            return _End(seconds + (lasts * left.credits // burn if burn else 0), expired)
        left.burn(burn)
        seconds, lasts = seconds + lasts, _A_DAY
        at = now + timedelta(seconds=seconds)
    return _End(_HORIZON_SECONDS, expired)


class _Left:
    """What is left of lots: their sum, and when the next of them expires, are known without looking through them."""

    def __init__(self, lots: Sequence[Remaining]) -> None:
        self.credits = sum(lot.credits for lot in lots)
        self._lots = deque(lots)
        self._expiries = sorted((lot.expires_at for lot in lots if lot.expires_at is not None), reverse=True)

    def expire(self, at: datetime) -> int:
        """Drop what has expired; answers how many credits that were."""
        if not self._expiries or self._expiries[-1] > at:
            return 0
        while self._expiries and self._expiries[-1] <= at:
            self._expiries.pop()
        before = self.credits
        self._lots = deque(lot for lot in self._lots if lot.expires_at is None or lot.expires_at > at)
        self.credits = sum(lot.credits for lot in self._lots)
        return before - self.credits

    def burn(self, credits: int) -> None:
        """Burn less than there is, lot by lot."""
        self.credits -= credits
        while credits >= self._lots[0].credits:
            credits -= self._lots.popleft().credits
        self._lots[0] = self._lots[0]._replace(credits=self._lots[0].credits - credits)


def _instant(now: datetime, seconds: int) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds < _HORIZON_SECONDS else None
