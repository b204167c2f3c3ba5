"""The working copy of an account, its lots and holds, while a batch holds the account's lock.

Most accounts need nothing but their row: it carries the *head*, the lot that burns next, and what remains of it. While
a lot is the head its own row lags behind. Whatever the head cannot answer alone has the account's lots read first,
and leaves a new head.
"""

from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from libs.contracts.events.payments_v1 import LotKind
from services.credits.domain.tallies import Tally


class Lot(msgspec.Struct, eq=False, gc=False):
    """One grant of credits, and what remains of it. Of a head alone no more than the first two fields are known."""

    id: UUID
    remaining: int
    account: UUID | None = None
    kind: LotKind = "granted"
    priority: int = 0
    granted: int = 0
    taken_back: int = 0
    revision: int = 0
    cost_minor: int | None = None
    currency: str | None = None
    reference_type: str = ""
    reference_id: str = ""
    granted_at: datetime | None = None
    expires_at: datetime | None = None
    new: bool = False
    changed: bool = False

    def expired(self, at: datetime) -> bool:
        """Tell whether the lot cannot be burnt any more."""
        return self.expires_at is not None and self.expires_at <= at


class Part(msgspec.Struct, eq=False, gc=False):
    """What a hold has reserved of one lot, and what is left of that."""

    lot: UUID
    reserved: int
    left: int
    at: datetime | None = None
    """When it was, if that was later than the hold was placed: where limits counted it."""


class HeldCredits(msgspec.Struct, eq=False):
    """A hold as it stands, its parts in the order in which they were burnt into it."""

    id: UUID
    account: UUID
    state: str
    reserved: int
    captured: int
    placed_at: datetime
    expires_at: datetime
    ends_by: datetime
    reference_type: str | None
    reference_id: str | None
    description: str | None
    details: str | None
    parts: list[Part]
    actor: str | None = None
    settled_at: datetime | None = None
    reserve: int | None = None
    """Of a lease: how much is to be reserved ahead."""
    metered: Decimal | None = None
    """Of a lease: how much of its use is in the journal, in the meter's unit."""
    price_version: str | None = None
    set_aside: bool = False
    """Not for spending: the money that paid for it may go back."""
    new: bool = False
    changed: bool = False

    @property
    def left(self) -> int:
        """What it still reserves."""
        return sum(part.left for part in self.parts)

    def as_it_is(self) -> "HeldCredits":
        """Copy it: what happens later in the batch does not show."""
        parts = [Part(part.lot, part.reserved, part.left, part.at) for part in self.parts]
        return msgspec.structs.replace(self, parts=parts)


class Leg(msgspec.Struct, frozen=True, gc=False):
    """What a charge burnt of one lot; no lot is overdraft."""

    lot: UUID | None
    amount: int


class BurntCharge(msgspec.Struct, eq=False):
    """A charge as it stands; its legs are read only where some of it is to be given back."""

    id: UUID
    account: UUID
    amount: int
    refunded: int
    reference_type: str | None
    reference_id: str | None
    description: str | None
    details: str | None
    at: datetime
    legs: list[Leg] = []
    new: bool = False
    changed: bool = False

    def as_it_is(self) -> "BurntCharge":
        """Copy it: what happens later in the batch does not show."""
        return copy(self)


class Account(msgspec.Struct, eq=False, gc=False):
    """An account's row, in the order of its columns, and the lots that are known of it."""

    id: UUID
    state: str
    available: int
    held: int
    debt: int
    overdraft_limit: int
    sequence: int
    head_lot: UUID | None
    head_remaining: int
    next_due: datetime | None
    earned: int
    purchased: int
    spent: int
    expired: int
    refunded: int
    overdraft_ever: int = 0
    low_below: int = 0
    low: bool | None = None
    resumes_at: datetime | None = None
    limits_actors: bool = False
    blocks_holds: bool = False
    """Whether usage that is not covered blocks holds."""
    uncovered: int | None = None
    """What usage would have cost that was not covered: nothing is held until there is as much."""
    hold_first: bool = True
    """Whether it is near nothing, so that its services should hold before they work."""
    tally: Tally | None = None
    lots: list[Lot] = []
    changed: bool = False
    marked: bool = False
    """What seldom changes has: its state, whether it is low or near nothing, how far it was ever let overdraw."""

    def show_head(self) -> None:
        """Let the head be the only lot that is known."""
        if self.head_lot is not None:
            self.lots = [Lot(self.head_lot, self.head_remaining)]

    def sort(self, *, fifo: bool) -> None:
        """Put the lots in burn order: by priority, then the soonest expiry, then age; or by age alone."""
        if len(self.lots) > 1:
            self.lots.sort(key=_age if fifo else _priority)

    def note_head(self) -> None:
        """Name the lot that burns next, and what remains of it, as the lots are now."""
        head = next((lot for lot in self.lots if lot.remaining), None)
        self.head_lot, self.head_remaining = (head.id, head.remaining) if head else (None, 0)

    def due_by(self, instant: datetime | None) -> None:
        """Note that something of this account falls due then."""
        if instant is not None and (self.next_due is None or instant < self.next_due):
            self.next_due = instant


def _age(lot: Lot) -> Any:
    return lot.id.bytes


def _priority(lot: Lot) -> Any:
    expires = lot.expires_at
    return lot.priority, expires is None, expires.timestamp() if expires else 0, lot.id.bytes
