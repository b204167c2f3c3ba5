"""What spending is answered: written once, and stored under the caller's key as it is sent."""

from collections.abc import Mapping
from typing import Any

import orjson

from libs.chassis.idempotency import Answer
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.errors import ErrorCode
from services.credits.domain.accounts import BurntCharge, HeldCredits
from services.credits.domain.postings import REFUSALS, Capture, Outcome, Result

Shown = dict[str, Any]

_FURTHER_REFUSALS: Mapping[Outcome, tuple[ErrorCode, str]] = {
    "no_charge": (codes.NOT_FOUND, "This account has no such charge."),
    "above_charge": (codes.CHARGE_REFUND_TOO_LARGE, "That is more than is left of the charge."),
    "reference_reused": (codes.REFERENCE_REUSED, "Another amount was charged for this reference before."),
    "no_hold": (codes.NOT_FOUND, "This account has no such hold."),
    "hold_settled": (codes.HOLD_SETTLED, "The hold was captured or released before."),
    "hold_expired": (codes.HOLD_EXPIRED, "The hold has expired, and what it reserved is free again."),
    "above_hold": (codes.CAPTURE_TOO_LARGE, "That is more than the hold still reserves."),
    "too_long": (codes.HOLD_TOO_LONG, "No hold lives that long."),
}


def good(body: Shown, *, status: int = 201) -> Answer:
    """Answer that it is done."""
    return Answer(status, orjson.dumps(body, option=orjson.OPT_UTC_Z))


def bad(code: ErrorCode, detail: str, **facts: Any) -> Answer:
    """Answer that it cannot be."""
    return Answer(code.status, orjson.dumps({"code": code.code, "detail": detail, "facts": facts}))


def refused(result: Result) -> Answer:
    """Answer why the ledger refused a posting, with what one needs to know to do better."""
    code, detail = REFUSALS.get(result.outcome) or _FURTHER_REFUSALS[result.outcome]
    return bad(code, detail, **_facts(result))


def _facts(result: Result) -> Shown:
    if result.outcome in ("insufficient", "in_debt"):
        return _what_lacks(result)
    if result.outcome == "above_hold" and result.hold is not None:
        return {"left": format_credits(result.hold.left)}
    if result.outcome == "above_charge" and result.charge is not None:
        return {"left": format_credits(result.charge.amount - result.charge.refunded)}
    if result.outcome == "reference_reused" and result.charge is not None:
        return {"charge": ids.show("charge", result.charge.id), "charged": format_credits(result.charge.amount)}
    return {}


def _what_lacks(result: Result) -> Shown:
    """Say what is required of what is available: of a capture, what its hold does not reserve."""
    required = result.posting.amount
    if isinstance(result.posting, Capture) and result.hold is not None:
        required -= result.hold.left
    facts = {"required": format_credits(required), "available": format_credits(max(result.available, 0))}
    return facts | {"debt": format_credits(result.debt)} if result.debt else facts


def balance(result: Result) -> Shown:
    """Show what the account has after a posting."""
    available = result.available
    return {
        "available": format_credits(max(available, 0)),
        "held": format_credits(result.held),
        "overdraft": format_credits(max(-available, 0)),
        "debt": format_credits(result.debt),
        "sequence": result.sequence,
    }


def charge(found: BurntCharge) -> Shown:
    """Show a charge."""
    return {
        "id": ids.show("charge", found.id),
        "account": ids.show("account", found.account),
        "credits": format_credits(found.amount),
        "refunded": format_credits(found.refunded),
        **_spent_for(found),
        "at": found.at,
    }


def hold(found: HeldCredits) -> Shown:
    """Show a hold."""
    return {
        "id": ids.show("hold", found.id),
        "account": ids.show("account", found.account),
        "state": found.state,
        "reserved": format_credits(found.reserved),
        "captured": format_credits(found.captured),
        "held": format_credits(found.left),
        **_spent_for(found),
        "placed_at": found.placed_at,
        "expires_at": found.expires_at,
        "ends_by": found.ends_by,
        "settled_at": found.settled_at,
    }


def _spent_for(found: BurntCharge | HeldCredits) -> Shown:
    kept = orjson.loads(found.details) if found.details else {}
    named = {"type": found.reference_type, "id": found.reference_id} if found.reference_type else None
    return {
        "reference": named,
        "description": found.description,
        "meter": kept.get("meter"),
        "quantity": kept.get("quantity"),
        "properties": kept.get("properties", {}),
        "metadata": kept.get("metadata", {}),
    }
