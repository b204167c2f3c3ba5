"""Making postings, as the ledger is given them: amounts are micro-credits."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from libs.contracts import ids
from libs.contracts.events.payments_v1 import LotKind
from libs.contracts.http.credits_v1 import TransactionType
from services.credits.domain.postings import (
    Capture,
    Cause,
    Charge,
    ChargeRefund,
    Extend,
    Grant,
    Hold,
    Lease,
    Release,
    Reserve,
    Settle,
    Spend,
    TakeBack,
    Transfer,
    Usage,
    key_of,
)


def _common(
    account: UUID, amount: int, type: TransactionType, reference: tuple[str | None, str | None]
) -> dict[str, Any]:
    cause = Cause(type, *reference, "A test")
    return {
        "account": account,
        "key": ids.new_id(),
        "fingerprint": key_of(str(amount)),
        "amount": amount,
        "cause": cause,
    }


def spending(account: UUID, amount: int) -> Spend:
    """Burn credits."""
    return Spend(**_common(account, amount, "usage", (None, None)))


def using(account: UUID, amount: int, *, id: str) -> Usage:
    """Burn what a usage event costs."""
    return Usage(**_common(account, amount, "usage", (None, None)) | {"key": key_of("usage", account.hex, id)})


def charging(account: UUID, amount: int, *, order: str | None = None, actor: str | None = None) -> Charge:
    """Charge, perhaps for an order, which is charged once."""
    common = _common(account, amount, "charge", ("order" if order else None, order))
    return Charge(**common, id=common["key"], actor=actor)


def refunding(charge: Charge, amount: int = 0) -> ChargeRefund:
    """Give back of a charge this much, or all that is left."""
    common = _common(charge.account, amount, "charge_refund", ("charge", ids.show("charge", charge.id)))
    return ChargeRefund(**common, charge=charge.id, lot=ids.new_id())


def transferring(account: UUID, to: UUID, amount: int) -> Transfer:
    """Give credits to another account."""
    return Transfer(**_common(account, amount, "transfer", (None, None)), to=to, lot=ids.new_id())


def holding(account: UUID, amount: int, *, until: datetime, actor: str | None = None) -> Hold:
    """Reserve credits until then; it may be extended by a day."""
    common = _common(account, amount, "hold", (None, None))
    return Hold(**common, id=common["key"], expires_at=until, ends_by=until + timedelta(days=1), actor=actor)


def leasing(account: UUID, amount: int, *, until: datetime, actor: str | None = None) -> Lease:
    """Reserve credits ahead for work that lives until then unless more is reserved, and at most a day longer."""
    common = _common(account, amount, "hold", (None, None))
    common["cause"] = Cause("hold", None, None, "A lease", '{"meter": "stream", "properties": {}}', "v1")
    return Lease(**common, id=common["key"], expires_at=until, ends_by=until + timedelta(days=1), actor=actor)


def settling(lease: Lease, cost: int, *, final: bool = False) -> Settle:
    """Settle what a lease has cost by now, in all; a unit of what it meters costs one."""
    common = _common(lease.account, cost, "capture", ("hold", str(lease.id)))
    return Settle(**common, lease=lease.id, quantity=Decimal(cost), final=final)


def reserving(lease: Lease, amount: int, *, until: datetime, cost: int = 0) -> Reserve:
    """Reserve so much ahead again for a lease that has cost this much by now."""
    common = _common(lease.account, amount, "hold", ("hold", str(lease.id)))
    return Reserve(**common, lease=lease.id, cost=cost, expires_at=until)


def capturing(hold: Hold, amount: int, *, final: bool = False) -> Capture:
    """Burn what a hold reserves, or some of it."""
    return Capture(
        **_common(hold.account, amount, "capture", ("hold", ids.show("hold", hold.id))), hold=hold.id, final=final
    )


def releasing(hold: Hold) -> Release:
    """Free what a hold reserves still."""
    return Release(**_common(hold.account, 0, "release", ("hold", str(hold.id))), hold=hold.id)


def extending(hold: Hold, *, until: datetime) -> Extend:
    """Let a hold live until then."""
    return Extend(**_common(hold.account, 0, "hold", ("hold", str(hold.id))), hold=hold.id, expires_at=until)


def granting(
    account: UUID,
    amount: int,
    *,
    kind: LotKind = "purchased",
    until: datetime | None = None,
    purchase: str | None = None,
) -> Grant:
    """Give a lot, which somebody paid for if it is a purchased one."""
    common = _common(account, amount, "purchase", ("purchase", purchase or str(ids.new_id())))
    cost: dict[str, Any] = {"cost_minor": 100, "currency": "usd"} if kind == "purchased" else {}
    return Grant(**common, lot=ids.new_id(), kind=kind, expires_at=until, **cost)


def taking_back(grant: Grant, total: int, *, revision: int) -> TakeBack:
    """Follow a payment's refunds: this much of its lot, in total."""
    common = _common(grant.account, total, "payment_refund", (grant.cause.reference_type, grant.cause.reference_id))
    return TakeBack(**common, kind=grant.kind, revision=revision)
