"""Reconciliation: Stripe's books, payments' and the ledger's are compared; how far that is, and what did not agree."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ..ids import FindingId, PurchaseId
from .base import Answer, Request

What = Literal["movements", "events", "purchases", "vouchers", "lots"]
"""Money that moved at Stripe; what else happened there; what was paid here, and redeemed; the ledger's lots that were
bought or redeemed."""

Scope = Literal["continuous", "full"]
"""Following what is new; going through the last weeks again."""

FindingKind = Literal[
    "payment_missed", "refund_missed", "dispute_missed", "payment_differs", "payment_unsettled", "payment_missing",
    "unknown_purchase", "lots_missing", "lots_differ", "not_taken_back", "lot_without_payment", "totals_differ",
    "voucher_lot_missing", "voucher_lot_differs", "voucher_not_taken_back", "lot_without_voucher",
    "event_missed", "event_unhandled", "entry_unreadable",
]  # fmt: skip
"""What did not agree; the runbook says what each means."""

EARLIEST = datetime(2011, 9, 29, tzinfo=UTC)
"""When Stripe opened: nobody has books that are older."""


class StepOrder(Request):
    """Go on with a full pass, or begin one."""

    begin: bool = False
    """Begin it anew, instead of going on with the one that is under way."""
    since: Annotated[AwareDatetime, Field(ge=EARLIEST)] | None = None
    """From when on, at the earliest 2011-09-29, when Stripe opened; 35 days ago if it is absent. Only where one begins.
    """


class ResolveFinding(Request):
    """Say why something that does not agree may stay so."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """What was looked into, and what was done about it."""


class Walk(Answer):
    """How far something is gone through."""

    what: What
    """What is compared."""
    scope: Scope
    """Whether it is what is new, or all of it again."""
    since: AwareDatetime
    """From when on it is gone through."""
    until: AwareDatetime
    """Up to when."""
    percent: Annotated[int, Field(ge=0, le=100)]
    """How much of that is done."""
    compared: int
    """How many objects were compared."""
    ended_at: AwareDatetime | None = None
    """When it was done, if it is."""


class Finding(Answer):
    """Something that did not agree."""

    id: FindingId
    """Its id."""
    kind: FindingKind
    """What did not agree."""
    object: str
    """What it is about: Stripe's id or ours."""
    purchase: PurchaseId | None = None
    """The purchase, if one of ours is concerned."""
    detail: str
    """What was found, in words."""
    found_at: AwareDatetime
    """When it was found."""
    told_again_at: AwareDatetime | None = None
    """When the ledger was told again, if that may mend it."""
    repaired_at: AwareDatetime | None = None
    """When it was mended, if it is."""
    resolved_at: AwareDatetime | None = None
    """When somebody said why it may stay, if so."""
    resolved_by: str | None = None
    """Who that was."""
    reason: str | None = None
    """What he said."""


class MoneyTotals(Answer):
    """What moved at Stripe in a currency within the reach of a full pass, in minor units."""

    currency: str
    """The currency."""
    gross_minor: int
    """What was paid."""
    refunded_minor: int
    """What went back."""
    disputed_minor: int
    """What banks took back, less what they gave back."""


class SettledTotals(Answer):
    """What Stripe kept and left of it, in a currency that Stripe pays out, in minor units."""

    currency: str
    """The currency."""
    fees_minor: int
    """What Stripe kept."""
    net_minor: int
    """What was left, of what came and what went."""


class Reconciliation(Answer):
    """Where it stands."""

    walks: list[Walk]
    """How far each is."""
    drift: int
    """How much does not agree and is not explained: to be 0."""
    findings: Annotated[list[Finding], Field(max_length=100)]
    """What is open, newest first, at most a hundred."""
    repaired: Annotated[list[Finding], Field(max_length=100)]
    """What was mended since the full pass began, newest first, at most a hundred."""
    moved: list[MoneyTotals]
    """What moved at Stripe."""
    settled: list[SettledTotals]
    """What Stripe kept and left of that."""


class StepDone(Answer):
    """What a step of a full pass did."""

    walks: list[Walk]
    """How far the pass is."""
    done: bool
    """Whether it is at its end, and nothing is on its way to be mended."""
    busy: bool
    """Whether another was at work, so that this one did nothing."""
