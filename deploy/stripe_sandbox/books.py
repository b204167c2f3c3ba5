"""The sandbox's own books: what was paid, given back, disputed and kept, to hold other people's books against."""

from collections import defaultdict

from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.records import Records

REFUND = ("id", "amount", "currency", "charge", "payment_intent", "metadata", "reason", "status", "created")
DISPUTE = ("id", "amount", "currency", "charge", "payment_intent", "metadata", "reason", "status", "created")
WARNING = ("id", "charge", "payment_intent", "fraud_type", "actionable", "created")


def books(records: Records) -> Object:
    """Give every payment, refund, dispute and warning, oldest first, with the totals per currency."""
    disputes = [_dispute(dispute) for dispute in records.oldest_first("dispute")]
    taken = _by_charge(disputes)
    payments = [_payment(records, intent, taken) for intent in records.oldest_first("payment_intent")]
    return {
        "payment_intents": payments,
        "refunds": [_refund(refund) for refund in records.oldest_first("refund")],
        "disputes": disputes,
        "early_fraud_warnings": [
            {name: warning[name] for name in WARNING} for warning in records.oldest_first("radar.early_fraud_warning")
        ],
        "totals": _totals(payments),
    }


def _payment(records: Records, intent: Object, taken: dict[str, Object]) -> Object:
    charge = records.get("charge", intent["latest_charge"] or "") or {}
    entry = records.get("balance_transaction", charge.get("balance_transaction") or "") or {}
    same = ("id", "amount", "amount_received", "currency", "customer", "metadata", "status", "created", "livemode")
    return {
        **{name: intent[name] for name in same},
        "charge": charge.get("id"),
        "charge_status": charge.get("status"),
        "amount_refunded": charge.get("amount_refunded", 0),
        "amount_disputed": taken[charge.get("id", "")]["withdrawn"],
        "dispute_fee": taken[charge.get("id", "")]["fee"],
        "fee": entry.get("fee"),
        "checkout_session": intent.get("_session"),
    }


def _refund(refund: Object) -> Object:
    return {**{name: refund[name] for name in REFUND}, "failure_reason": refund.get("failure_reason")}


def _dispute(dispute: Object) -> Object:
    """Show a dispute with what the bank has taken and not given back, and what Stripe keeps of it."""
    entries = dispute["balance_transactions"]
    return {
        **{name: dispute[name] for name in DISPUTE},
        "withdrawn": -sum(entry["amount"] for entry in entries),
        "fee": sum(entry["fee"] for entry in entries),
    }


def _by_charge(disputes: list[Object]) -> dict[str, Object]:
    taken: dict[str, Object] = defaultdict(lambda: {"withdrawn": 0, "fee": 0})
    for dispute in disputes:
        for name in ("withdrawn", "fee"):
            taken[dispute["charge"]][name] += dispute[name]
    return taken


def _totals(payments: list[Object]) -> Object:
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for payment in (payment for payment in payments if payment["status"] == "succeeded"):
        total = totals[payment["currency"]]
        total["payments"] += 1
        total["gross"] += payment["amount_received"]
        total["refunded"] += payment["amount_refunded"]
        total["disputed"] += payment["amount_disputed"]
        total["fees"] += payment["fee"] or 0
        total["dispute_fees"] += payment["dispute_fee"]
    for total in totals.values():
        kept = total["fees"] + total["dispute_fees"]
        total["net"] = total["gross"] - total["refunded"] - total["disputed"] - kept
    return {currency: dict(total) for currency, total in totals.items()}
