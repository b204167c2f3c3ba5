"""What spending is answered: written once, and stored under the caller's key as it is sent."""

from typing import Any, NamedTuple

import orjson

from libs.chassis.idempotency import Answer
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.errors import ErrorCode
from services.credits.domain.accounts import BurntCharge, HeldCredits
from services.credits.domain.postings import REFUSALS, Capture, Result

Shown = dict[str, Any]


def good(body: Shown, *, status: int = 201) -> Answer:
    """Answer that it is done."""
    return Answer(status, orjson.dumps(body, option=orjson.OPT_UTC_Z))


class Refused(NamedTuple):
    """Why something cannot be done, with what one needs to know to do better."""

    code: ErrorCode
    detail: str
    facts: Shown


def why(result: Result) -> Refused:
    """Say why the ledger refused a posting."""
    return Refused(*REFUSALS[result.outcome], _facts(result))


def refused(result: Result) -> Answer:
    """Answer that the ledger refused a posting, and why."""
    code, detail, facts = why(result)
    return Answer(code.status, orjson.dumps({"code": code.code, "detail": detail, "facts": facts}))


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
