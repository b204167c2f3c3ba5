"""The sandbox's own books: what was paid, given back and kept, to hold other people's books against."""

from collections import defaultdict
from collections.abc import Iterator

from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.records import Records


def books(records: Records) -> Object:
    """Give every payment and refund, oldest first, with the totals per currency."""
    payments = [_payment(records, intent) for intent in records.oldest_first("payment_intent")]
    refunds = [_refund(refund) for refund in records.oldest_first("refund")]
    return {"payment_intents": payments, "refunds": refunds, "totals": _totals(payments)}


def _payment(records: Records, intent: Object) -> Object:
    charge = records.get("charge", intent["latest_charge"] or "") or {}
    entry = records.get("balance_transaction", charge.get("balance_transaction") or "") or {}
    same = ("id", "amount", "amount_received", "currency", "customer", "metadata", "status", "created", "livemode")
    return {
        **{name: intent[name] for name in same},
        "charge": charge.get("id"),
        "charge_status": charge.get("status"),
        "amount_refunded": charge.get("amount_refunded", 0),
        "fee": entry.get("fee"),
        "checkout_session": intent.get("_session"),
    }


def _refund(refund: Object) -> Object:
    same = ("id", "amount", "currency", "charge", "payment_intent", "metadata", "reason", "status", "created")
    return {name: refund[name] for name in same}


def _totals(payments: list[Object]) -> Object:
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for payment in _paid(payments):
        total = totals[payment["currency"]]
        total["payments"] += 1
        total["gross"] += payment["amount_received"]
        total["refunded"] += payment["amount_refunded"]
        total["fees"] += payment["fee"] or 0
    for total in totals.values():
        total["net"] = total["gross"] - total["refunded"] - total["fees"]
    return {currency: dict(total) for currency, total in totals.items()}


def _paid(payments: list[Object]) -> Iterator[Object]:
    return (payment for payment in payments if payment["status"] == "succeeded")
