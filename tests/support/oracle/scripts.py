"""Scripts of what may happen to a ledger: wishes in the abstract, drawn at random, then made into postings.

A wish names accounts, holds, charges and references by small numbers, so that they meet often: two wishes for the same
usage, a capture of a hold that was refused, a refund of more than is left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args
from uuid import UUID

from hypothesis import strategies as st

from libs.chassis.clock import Clock
from libs.contracts import ids
from libs.contracts.events.payments_v1 import LotKind
from libs.contracts.http.credits_v1 import TransactionType
from services.credits.domain import postings
from services.credits.domain.books import Rules
from services.credits.domain.enforcement import Enforcement
from services.credits.domain.limits import Limits
from services.credits.domain.postings import Cause, Posting, key_of

START = datetime(2026, 1, 1, tzinfo=UTC)
_START_MILLIS = int(START.timestamp() * 1000)
ACCOUNTS = 4
"""The last of them is not opened but by a grant."""

Verb = Literal[
    "usage",
    "spend",
    "charge",
    "refund",
    "transfer",
    "hold",
    "capture",
    "release",
    "extend",
    "lease",
    "settle",
    "reserve",
    "grant",
    "set_aside",
    "take_back",
    "again",
]


@dataclass(frozen=True)
class Wish:
    """A posting in the abstract; each verb reads of it what it needs."""

    verb: Verb
    account: int
    amount: int
    which: int
    """Which hold, charge, usage, reference or earlier posting."""
    hours: int
    """When a lot or hold expires, from now."""
    flag: bool
    """Final, or by reference, or with another content."""


@dataclass(frozen=True)
class Batch:
    """Postings that are applied together."""

    wishes: list[Wish]


@dataclass(frozen=True)
class Travel:
    """The clock is set forward, or back."""

    hours: int


@dataclass(frozen=True)
class Change:
    """Staff change an account: its state, its overdraft."""

    account: int
    state: str
    overdraft_limit: int


@dataclass(frozen=True)
class Resume:
    """Staff let an account go on, or one who spends of it."""

    account: int
    actor: str | None


@dataclass(frozen=True)
class Settle:
    """The job comes round."""


Step = Batch | Travel | Change | Resume | Settle
ADA, BOB = "user:ada", "key:bob"
ACTORS = (None, ADA, BOB)

HOURS = st.sampled_from([1, 2, 3, 24, 0, -1])
WISHES = st.builds(
    Wish,
    verb=st.sampled_from(get_args(Verb)),
    account=st.integers(0, ACCOUNTS - 1),
    amount=st.integers(1, 12),
    which=st.integers(0, 5),
    hours=HOURS,
    flag=st.booleans(),
)
BATCHES = st.builds(Batch, st.lists(WISHES, min_size=1, max_size=12))
STEPS = st.one_of(
    BATCHES,
    BATCHES,
    BATCHES,
    BATCHES,
    st.builds(Travel, HOURS),
    st.builds(
        Change,
        account=st.integers(0, ACCOUNTS - 2),
        state=st.sampled_from(["open", "open", "open", "frozen", "closed", "stopped"]),
        overdraft_limit=st.sampled_from([1, 5, 20]),
    ),
    st.builds(Resume, account=st.integers(0, ACCOUNTS - 2), actor=st.sampled_from(ACTORS)),
    st.just(Settle()),
)
LIMITS = st.builds(
    Limits,
    per_transaction=st.sampled_from([None, 8]),
    transactions_per_day=st.sampled_from([None, 2]),
    usage_counts=st.booleans(),
    account_per_hour=st.sampled_from([None, 6, 12]),
    actor_per_hour=st.sampled_from([None, 4, 8]),
    resume_after=st.sampled_from([None, timedelta(hours=2)]),
)
RULES = st.builds(
    Rules,
    fifo=st.booleans(),
    capture_above_hold=st.booleans(),
    low_below=st.sampled_from([0, 5]),
    enforcement=st.builds(
        Enforcement,
        holds_below=st.sampled_from([None, 4]),
        minutes_ahead=st.sampled_from([None, None, 90]),
        blocks_holds=st.booleans(),
    ),
    limits=st.one_of(st.just(Limits()), LIMITS),
)


class StoppedClock(Clock):
    """A clock that a script sets."""

    def __init__(self) -> None:
        super().__init__()
        self.instant = START

    def now(self) -> datetime:
        return self.instant


class Scribe:
    """Makes wishes into postings; what it makes is the same whenever the same script is read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made = 0
        self.accounts = [self._id() for _ in range(ACCOUNTS)]
        self.holds: list[UUID] = []
        self.leases: list[UUID] = []
        self.lots: list[tuple[UUID, LotKind, str]] = []
        self.asides: dict[UUID, tuple[UUID, LotKind, str]] = {}
        self.charges: list[UUID] = []
        self.posted: list[Posting] = []
        self._owners: dict[UUID, UUID] = {}

    def batch(self, wishes: list[Wish]) -> list[Posting]:
        """Write the postings of a batch."""
        self.posted = []
        for wish in wishes:
            write: Callable[[Wish], Posting] = getattr(self, f"_{wish.verb}")
            self.posted.append(write(wish))
        return self.posted

    def _id(self) -> UUID:
        self._made += 1
        # later ones sort behind earlier ones, as those do that are made in life: of the same time as the ledger's own
        return ids.at_millis(_START_MILLIS + self._made)

    def _common(self, wish: Wish, type: TransactionType, *, key: UUID | None = None) -> dict[str, Any]:
        return {
            "account": self.accounts[wish.account],
            "key": key or self._id(),
            "fingerprint": key_of(str(wish.amount)),
            "amount": wish.amount,
            "cause": Cause(type, None, "credit" if type == "usage" else None, f"{wish.verb} {wish.which}"),
            "actor": ACTORS[(wish.which + wish.amount) % len(ACTORS)],
        }

    def _usage(self, wish: Wish) -> Posting:
        key = key_of("usage", self.accounts[wish.account].hex, str(wish.which))
        common = self._common(wish, "usage", key=key)
        common["amount"] -= 1  # some usage costs nothing
        if wish.flag:
            common["cause"] = Cause("usage", None, "credit", None, f'{{"cost":{wish.amount},"currency":"usd"}}')
        return postings.Usage(**common)

    def _spend(self, wish: Wish) -> Posting:
        return postings.Spend(**self._common(wish, "usage"))

    def _charge(self, wish: Wish) -> Posting:
        common = self._common(wish, "charge")
        if wish.flag:
            common["cause"] = Cause("charge", "order", str(wish.which))
        self.charges.append(common["key"])
        self._owners[common["key"]] = common["account"]
        return postings.Charge(**common, id=common["key"])

    def _refund(self, wish: Wish) -> Posting:
        common = self._common(wish, "charge_refund")
        common["amount"] = 0 if wish.flag else (wish.amount + 1) // 2
        charge = self._one(self.charges, wish, common)
        return postings.ChargeRefund(**common, charge=charge, lot=self._id())

    def _transfer(self, wish: Wish) -> Posting:
        to = self.accounts[(wish.account + 1 + wish.which % (ACCOUNTS - 1)) % ACCOUNTS]
        return postings.Transfer(**self._common(wish, "transfer"), to=to, lot=self._id())

    def _hold(self, wish: Wish) -> Posting:
        return postings.Hold(**self._held(wish, self.holds))

    def _lease(self, wish: Wish) -> Posting:
        common = self._held(wish, self.leases)
        if not wish.which:  # now and then it is used as a hold, too
            self.holds.append(common["key"])
        common["cause"] = Cause("hold", None, None, "lease", '{"meter": "stream", "properties": {}}', "v1")
        return postings.Lease(**common)

    def _held(self, wish: Wish, made: list[UUID]) -> dict[str, Any]:
        common = self._common(wish, "hold")
        now = self._clock.now()
        made.append(common["key"])
        self._owners[common["key"]] = common["account"]
        expires_at = now + timedelta(hours=max(wish.hours, 1))
        return common | {"id": common["key"], "expires_at": expires_at, "ends_by": now + timedelta(hours=26)}

    def _settle(self, wish: Wish) -> Posting:
        common = self._common(wish, "capture")
        lease = self._one(self.leases, wish, common)
        common["cause"] = Cause("capture", "hold", ids.show("hold", lease))
        quantity = Decimal(wish.amount) / 2
        return postings.Settle(**common, lease=lease, quantity=quantity, final=wish.flag and wish.which % 2 > 0)

    def _reserve(self, wish: Wish) -> Posting:
        common = self._common(wish, "hold")
        lease = self._one(self.leases, wish, common)
        expires_at = self._clock.now() + timedelta(hours=wish.hours)
        cost = wish.amount if wish.flag else 0
        return postings.Reserve(**common, lease=lease, cost=cost, expires_at=expires_at)

    def _capture(self, wish: Wish) -> Posting:
        common = self._common(wish, "capture")
        hold = self._one(self.holds, wish, common)
        common["cause"] = Cause("capture", "hold", ids.show("hold", hold))
        return postings.Capture(**common, hold=hold, final=wish.flag)

    def _release(self, wish: Wish) -> Posting:
        common = self._common(wish, "release")
        hold = self._one(self.holds, wish, common)
        return postings.Release(**common, hold=hold)

    def _extend(self, wish: Wish) -> Posting:
        expires_at = self._clock.now() + timedelta(hours=max(wish.hours, 1))
        common = self._common(wish, "hold")
        hold = self._one(self.holds, wish, common)
        return postings.Extend(**common, hold=hold, expires_at=expires_at)

    def _grant(self, wish: Wish) -> Posting:
        kind, reference = _lot(wish)
        common = self._common(wish, "granted", key=key_of("grant", str(wish.account), kind, reference))
        common["cause"] = Cause("granted", "purchase", reference)
        self.lots.append((common["account"], kind, reference))
        common["amount"] *= 2
        expires_at = None if wish.flag else self._clock.now() + timedelta(hours=wish.hours)
        cost = (100, "usd") if kind in ("purchased", "membership") else (None, None)
        return postings.Grant(
            **common, lot=self._id(), kind=kind, expires_at=expires_at, cost_minor=cost[0], currency=cost[1]
        )

    def _take_back(self, wish: Wish) -> Posting:
        common = self._common(wish, "payment_refund")
        lot = common["account"], *_lot(wish)
        if wish.flag and self.asides:
            common["account"], _, _ = lot = list(self.asides.values())[-1 - wish.which % len(self.asides)]
        _, kind, reference = lot
        common["cause"] = Cause("payment_refund", "purchase", reference)
        common["amount"] = wish.amount - 1  # now and then more than was granted
        aside = tuple(id for id, of in self.asides.items() if of == lot)
        return postings.TakeBack(
            **common,
            kind=kind,
            revision=wish.hours + 2,
            set_aside=aside[: wish.which + 1],
            owed=wish.amount % 3 > 0,
        )

    def _set_aside(self, wish: Wish) -> Posting:
        common = self._common(wish, "hold")
        lot = common["account"], *_lot(wish)
        if wish.which and self.lots:
            common["account"], _, _ = lot = self.lots[-1 - wish.which % len(self.lots)]
        _, kind, reference = lot
        common["cause"] = Cause("hold", "purchase", reference)
        common["actor"] = None
        if wish.amount > 10 and self.asides:
            common["key"] = list(self.asides)[-1]
        else:
            self.asides[common["key"]] = lot
        expires_at = self._clock.now() + timedelta(hours=max(wish.hours, 1))
        return postings.SetAside(
            **common, id=common["key"], kind=kind, whole=wish.flag, expires_at=expires_at, revision=wish.amount % 3
        )

    def _again(self, wish: Wish) -> Posting:
        """Repeat a posting of this batch, perhaps with another content."""
        if not self.posted:
            return self._spend(wish)
        before = self.posted[wish.which % len(self.posted)]
        if wish.flag:
            return before
        changed = {name: getattr(before, name) for name in before.__struct_fields__}
        return type(before)(**changed | {"fingerprint": key_of("another")})

    def _one(self, made: list[UUID], wish: Wish, common: dict[str, Any]) -> UUID:
        """Choose one of those made before, the latest ones rather; now and then it is said to be another account's."""
        if not made:
            return self._id()
        one = made[-1 - wish.which % len(made)]
        if wish.amount < 12:
            common["account"] = self._owners[one]
        return one


def _lot(wish: Wish) -> tuple[LotKind, str]:
    """Choose which lot of which purchase."""
    kinds: list[LotKind] = ["purchased", "promotional", "membership", "granted", "purchased", "promotional"]
    return kinds[wish.which], str(wish.which + wish.amount % 3)
