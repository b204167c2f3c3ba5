"""What recorded usage would have cost by another price book: a fold over the journal, account by account.

Usage is rated in the order in which it was applied, so that tiers and allowances count as they would have. Each
combination of meter, quantity and properties is rated once: most usage is like other usage. What is kept grows with the
meters, not with the accounts: each account's bill is handed on when it is complete.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from heapq import heappush, heappushpop
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Raw, Struct, field

from libs.chassis.errors import DomainError
from services.credits.domain.pricing import Prices, Rating, period_of
from services.credits.domain.usage_events import Quantity, UsageEvent

BANDS = (
    "-50 % or less",
    "-50 to -25 %",
    "-25 to -10 %",
    "-10 to 0 %",
    "the same",
    "0 to +10 %",
    "+10 to +25 %",
    "+25 to +50 %",
    "+50 to +100 %",
    "+100 % or more",
)
"""How much an account's costs change; one that paid nothing and would pay something is in the last."""
_DAY_SECONDS = 86_400
MOST_REMEMBERED = 65_536
"""Combinations of meter, quantity and properties for which it is known what they cost."""
_MOST_REASONS = 1000
_MOST_DEARER = 100


class Sums(Struct, gc=False):
    """So many usages, what was charged for them, and what the draft charges; in micro-credits."""

    usages: int = 0
    charged: int = 0
    draft: int = 0
    refused: int = 0
    """How many of the usages the draft would refuse, and so charge nothing for."""

    @property
    def difference(self) -> int:
        """How much more the draft charges."""
        return self.draft - self.charged

    @property
    def percent(self) -> str | None:
        """Write the difference in percent, to the nearest tenth, such as `+12.5`; None if nothing was charged."""
        if not self.charged:
            return None
        tenths = (2000 * abs(self.difference) + self.charged) // (2 * self.charged)
        return f"{'-' if self.difference < 0 else '+'}{tenths // 10}.{tenths % 10}"

    def add(self, other: "Sums") -> None:
        """Add those of others."""
        self.usages += other.usages
        self.charged += other.charged
        self.draft += other.draft
        self.refused += other.refused

    def rises_by(self, percent: int) -> bool:
        """Tell whether the draft charges more, and at least so many percent more."""
        return self.difference > 0 and self.difference * 100 >= percent * self.charged


class Bill(Struct, gc=False):
    """What an account was charged and would be, in total and by meter."""

    account: UUID
    total: Sums = field(default_factory=Sums)
    meters: dict[str, Sums] = field(default_factory=dict)


class Reason(NamedTuple):
    """Why the draft refuses a usage: the meter, the code of the error, and what it says."""

    meter: str
    code: str
    detail: str


class Refused(Struct, gc=False):
    """So many usages, and what was charged for them."""

    usages: int = 0
    charged: int = 0


class Summary:
    """All bills together."""

    def __init__(self, *, dearer_by: int) -> None:
        self.accounts = 0
        self.total = Sums()
        self.meters: dict[str, Sums] = {}
        self.bands: Counter[str] = Counter()
        self.dearer_by = dearer_by
        """From how many percent on an account is one of those that would pay much more."""
        self.dearer_count = 0
        self._dearer: list[tuple[int, UUID, Sums]] = []
        self.refusals: dict[Reason, Refused] = {}
        self.refused_before: Counter[tuple[str, str, Reason | None]] = Counter()
        """Usage that was refused then, by its meter, the code, and why the draft refuses it, if it does."""

    @property
    def dearer(self) -> list[tuple[UUID, Sums]]:
        """The accounts that would pay much more, at most a hundred of them, the largest increase first."""
        return [(account, sums) for _, account, sums in sorted(self._dearer, key=lambda found: found[0], reverse=True)]

    def add(self, bill: Bill) -> None:
        """Add an account's bill."""
        self.accounts += 1
        self.total.add(bill.total)
        for meter, sums in bill.meters.items():
            self.meters.setdefault(meter, Sums()).add(sums)
        self.bands[band(bill.total)] += 1
        if bill.total.rises_by(self.dearer_by):
            self.dearer_count += 1
            keep = heappush if len(self._dearer) < _MOST_DEARER else heappushpop
            keep(self._dearer, (bill.total.difference, bill.account, bill.total))

    def refused(self, reason: Reason) -> Refused:
        """Give the count of a reason; what comes after a thousand different ones is counted by the code alone."""
        if reason not in self.refusals and len(self.refusals) >= _MOST_REASONS:
            reason = Reason("", reason.code, "other reasons")
        return self.refusals.setdefault(reason, Refused())

    def note_refused_before(self, meter: str, code: str, reason: Reason | None) -> None:
        """Count a usage that was refused then."""
        name = (meter, code, reason)
        if name not in self.refused_before and len(self.refused_before) >= _MOST_REASONS:
            name = ("", code, reason and Reason("", reason.code, "other reasons"))
        self.refused_before[name] += 1


def band(sums: Sums) -> str:
    """Say in which of the `BANDS` a change lies."""
    if not sums.difference:
        return "the same"
    if not sums.charged:
        return BANDS[-1]
    change = Fraction(100 * sums.difference, sums.charged)
    number = bisect_left((-50, -25, -10), change) if change < 0 else 5 + bisect_right((10, 25, 50, 100), change)
    return BANDS[number]


class _Priced(NamedTuple):
    """What the draft says of a usage."""

    credits: int
    counted: Rating | None
    """Where it depends on what was used before."""
    reason: Reason | None


class _Kept(Struct, gc=False):
    """What the journal keeps of a usage."""

    quantity: str
    properties: Raw = Raw(b"{}")
    meter: str = ""
    time: int | None = None


_KEPT = msgspec.json.Decoder(_Kept)


class Backtest:
    """Rates by a draft what was recorded, and compares it with what was charged from an instant on.

    What was recorded before that counts for tiers and allowances alone. `done` is given each account's bill.
    """

    def __init__(
        self, prices: Prices, since: datetime, *, dearer_by: int = 0, done: Callable[[Bill], None] = lambda _: None
    ) -> None:
        self.summary = Summary(dearer_by=dearer_by)
        self._prices = prices
        self._since = since
        self._done = done
        self._known: dict[tuple[str, str, bytes], _Priced] = {}
        self._bill: Bill | None = None
        self._account: UUID | None = None
        self._periods: dict[tuple[str, int], str] = {}
        self._used: dict[tuple[str, str], int] = {}
        self._sums = Sums()
        self._refused = self._nobodys = Refused()

    def add(self, legs: Iterable[Any]) -> None:
        """Take the next legs of postings: account, leg, time, amount, and of the first leg what the journal keeps.

        They come account by account and in the order of applying: (account, leg, at, amount, meter, details). A charge
        by meter names that in its details; one of which no details come was not made by a price.
        """
        since = self._since
        for account, leg, at, amount, meter, details in legs:
            if leg:  # what another lot gave for the posting before
                self._sums.charged += amount
                self._refused.charged += amount
                continue
            if account != self._account:
                self._turn_to(account)
            self._refused = self._nobodys
            if details is None:
                self._sums = Sums()
                continue
            kept = _KEPT.decode(details)
            name = meter or kept.meter
            priced = self._price(name, kept)
            before = self._count(name, priced.counted, kept, at) if priced.counted is not None else 0
            if at < since:
                self._sums = Sums()
                continue
            sums = self._sums_of(name)
            sums.usages += 1
            sums.charged += amount
            sums.draft += priced.credits if priced.counted is None else priced.counted.credits_after(before)
            if priced.reason is not None:
                self._note_refusal(priced.reason, amount)

    def finish(self) -> Summary:
        """Hand on the last account's bill, and give the summary."""
        self._turn_to(None)
        return self.summary

    def add_refused(self, code: str, event: UsageEvent) -> None:
        """Take a usage that was refused then, for the reason of that code; it uses nothing up."""
        try:
            if event.problem is None:
                self._prices.rate(event.meter, event.quantity, event.properties)
            reason = None
        except DomainError as error:
            reason = Reason(event.meter, error.code.code, error.detail)
        self.summary.note_refused_before(event.meter, code, reason)

    def _turn_to(self, account: UUID | None) -> None:
        if self._bill is not None:
            for sums in self._bill.meters.values():
                self._bill.total.add(sums)
            self.summary.add(self._bill)
            self._done(self._bill)
        self._account, self._bill = account, None
        self._used.clear()

    def _sums_of(self, meter: str) -> Sums:
        if self._bill is None:
            assert self._account is not None  # noqa: S101 - it was turned to
            self._bill = Bill(self._account)
        self._sums = self._bill.meters.get(meter) or self._bill.meters.setdefault(meter, Sums())
        return self._sums

    def _note_refusal(self, reason: Reason, charged: int) -> None:
        self._sums.refused += 1
        self._refused = self.summary.refused(reason)
        self._refused.usages += 1
        self._refused.charged += charged

    def _count(self, meter: str, rating: Rating, kept: _Kept, at: datetime) -> int:
        """Count a usage in the period of its own time; answers what was counted before it."""
        seconds = int(at.timestamp()) if kept.time is None else kept.time
        day = (meter, seconds // _DAY_SECONDS)
        if (period := self._periods.get(day)) is None:
            period = self._periods[day] = period_of(rating.tariff.meter, datetime.fromtimestamp(seconds, UTC))
        name = (meter, period)
        before = self._used.get(name, 0)
        self._used[name] = before + rating.counted
        return before

    def _price(self, meter: str, kept: _Kept) -> _Priced:
        name = (meter, kept.quantity, bytes(kept.properties))
        if (found := self._known.get(name)) is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[name] = self._rate(meter, kept)
        return found

    def _rate(self, meter: str, kept: _Kept) -> _Priced:
        try:
            rating = self._prices.rate(meter, _quantity(kept.quantity), msgspec.json.decode(kept.properties))
        except DomainError as error:
            return _Priced(0, None, Reason(meter, error.code.code, error.detail))
        return _Priced(rating.credits, rating if rating.counted else None, None)


def _quantity(text: str) -> Quantity:
    """Read a quantity as usage events give it: whole ones are ints."""
    quantity = Decimal(text)
    whole = int(quantity)
    return whole if whole == quantity else quantity
