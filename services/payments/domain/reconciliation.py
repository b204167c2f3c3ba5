"""Comparing books: what is gone through, how far that is, and what may be found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

from libs.contracts.events.payments_v1 import LotToTakeBack
from libs.contracts.http.reconciliation_v1 import FindingKind, Scope, What
from libs.contracts.http.returns_v1 import GrantedLot
from services.payments.domain.purchases import Purchase

WHATS: tuple[What, ...] = get_args(What)
"""In the order in which they are gone through: what Stripe has first, as it may change what follows."""

BACKWARD: tuple[What, ...] = ("movements", "events")
"""Stripe lists what is newest first."""

YOUNG: dict[What, timedelta] = {
    "movements": timedelta(minutes=2),
    "events": timedelta(minutes=2),
    "purchases": timedelta(minutes=15),
    "vouchers": timedelta(minutes=15),
    "lots": timedelta(0),
}
"""What is younger may still be on its way to the other side, and is left alone unless somebody asks."""

LATE = timedelta(hours=2)
"""By when Stripe's balance shows what was paid; Stripe says that it takes an hour at most."""

_OVERLAP = timedelta(minutes=10)

EVENTS_KEPT = timedelta(days=40)
"""For how long we know which events we have handled: longer than Stripe lists them."""

REACH = timedelta(days=35)
"""How far a full pass goes back."""

FULL_EVERY = timedelta(days=1)

_HOUR = timedelta(hours=1)

ARRIVAL = timedelta(minutes=5)
"""How long the ledger has for what it was told again."""

LEDGER_KINDS: tuple[FindingKind, ...] = ("lots_missing", "lots_differ", "not_taken_back")


def overlap(what: What, *, followed: datetime, until: datetime) -> timedelta:
    """Tell how much of what was gone through is gone through again, for what came late.

    Whoever pays, Stripe's balance may show it late: each hour all that may have been late is gone through.
    """
    if what == "movements" and followed.replace(minute=0, second=0, microsecond=0) + _HOUR <= until:
        return LATE + _HOUR
    return _OVERLAP


@dataclass(frozen=True, slots=True)
class Walk:
    """How far something is gone through, from `since` to `until`; `cursor` is where to go on."""

    what: What
    scope: Scope
    since: datetime
    until: datetime
    cursor: str | None
    reached: datetime
    compared: int
    steps: int
    ended_at: datetime | None

    @property
    def followed(self) -> datetime:
        """Tell up to when all was gone through; of a full pass, when it was begun."""
        return self.since if self.ended_at is None and self.scope == "continuous" else self.until


@dataclass(frozen=True, slots=True)
class Page:
    """What one step compared; without a `cursor` it was the last one."""

    compared: int
    cursor: str | None
    reached: datetime


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What does not agree, and what it is about; each is found once."""

    kind: FindingKind
    object: str
    purchase: UUID | None
    detail: str


def against_ledger(
    purchase: Purchase, to_take_back: Iterable[LotToTakeBack], lots: Iterable[GrantedLot]
) -> tuple[FindingKind, str] | None:
    """Name what of a paid purchase's lots is not as it was told, if anything."""
    found = {lot.kind: lot for lot in lots}
    bought: Mapping[str, int] = {lot.kind: lot.credits for lot in purchase.lots}
    if missing := sorted(bought.keys() - found.keys()):
        return "lots_missing", f"the ledger has no lot of it: {', '.join(missing)}"
    granted: Mapping[str, int] = {lot.kind: lot.granted for lot in found.values()}
    if granted != bought:
        return "lots_differ", f"bought {_listed(bought)}, granted {_listed(granted)} (micro-credits)"
    if any(lot.account != purchase.account for lot in found.values()):
        return "lots_differ", "its credits went to another account"
    back: Mapping[str, int] = {lot.kind: lot.credits for lot in to_take_back}
    gone: Mapping[str, int] = {lot.kind: lot.taken_back for lot in found.values()}
    if gone != back:
        return "not_taken_back", f"to go back {_listed(back)}, went back {_listed(gone)} (micro-credits)"
    return None


def _listed(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {amount}" for kind, amount in sorted(amounts.items())) or "nothing"
