"""Answers as Stripe gives them: ids turned into objects where `expand` asks for it, nothing of the sandbox's own."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.records import Records

DEEPEST = 4

EXPANDABLE = {
    ("payment_intent", "customer"): "customer",
    ("payment_intent", "latest_charge"): "charge",
    ("payment_intent", "payment_method"): "payment_method",
    ("charge", "balance_transaction"): "balance_transaction",
    ("charge", "customer"): "customer",
    ("charge", "payment_intent"): "payment_intent",
    ("refund", "balance_transaction"): "balance_transaction",
    ("refund", "charge"): "charge",
    ("refund", "customer"): "customer",
    ("refund", "payment_intent"): "payment_intent",
    ("payment_method", "customer"): "customer",
    ("checkout.session", "customer"): "customer",
    ("checkout.session", "payment_intent"): "payment_intent",
    ("price", "product"): "product",
    ("product", "default_price"): "price",
    ("balance_transaction", "source"): "charge",
}
NEVER_SET = {
    ("payment_intent", "application"), ("payment_intent", "on_behalf_of"), ("payment_intent", "review"),
    ("charge", "application"), ("charge", "application_fee"), ("charge", "failure_balance_transaction"),
    ("charge", "on_behalf_of"), ("charge", "review"), ("charge", "source_transfer"),
    ("refund", "source_transfer_reversal"), ("refund", "transfer_reversal"), ("customer", "default_source"),
    ("customer", "test_clock"), ("checkout.session", "invoice"), ("checkout.session", "payment_link"),
    ("checkout.session", "setup_intent"), ("checkout.session", "subscription"), ("product", "tax_code"),
}  # fmt: skip
"""What Stripe can expand and is always null here."""


def present(records: Records, item: Object, paths: Iterable[str]) -> Object:
    """Give an answer with these paths expanded; `data.` stands before them in a list."""
    branches = _branches(paths)
    result = shapes.shown(item)
    if item.get("object") in ("list", "search_result"):
        below = branches.pop("data", [])
        _refuse(branches)
        return {**result, "data": [present(records, each, below) for each in item["data"]]}
    for field, below in branches.items():
        result[field] = _expanded(records, item, field, below)
    return result


def _branches(paths: Iterable[str]) -> dict[str, list[str]]:
    branches: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.count(".") >= DEEPEST:
            raise InvalidRequestError(
                f"You cannot expand more than {DEEPEST} levels of a property: {path}.", param="expand"
            )
        first, _, rest = path.partition(".")
        branches[first] += [rest] if rest else []
    return branches


def _refuse(branches: Iterable[str]) -> None:
    for field in branches:
        raise InvalidRequestError(f"This property cannot be expanded ({field}).", param="expand")


def _expanded(records: Records, item: Object, field: str, below: list[str]) -> Any:
    kind = item["object"]
    if (kind, field) == ("checkout.session", "line_items"):
        return _lines(records, item, below)
    if (kind, field) == ("charge", "refunds"):
        return _refunds(records, item, below)
    if (kind, field) not in EXPANDABLE and (kind, field) not in NEVER_SET:
        _refuse([field])
    value = item[field]
    if not isinstance(value, str):
        return value
    wanted = "refund" if value.startswith("re_") else EXPANDABLE[kind, field]
    found = records.get(wanted, value)
    return present(records, found, below) if found else value


def _lines(records: Records, session: Object, below: list[str]) -> Object:
    lines = shapes.listing(
        session["_line_items"], url=f"/v1/checkout/sessions/{session['id']}/line_items", has_more=False
    )
    return present(records, lines, below)


def _refunds(records: Records, charge: Object, below: list[str]) -> Object:
    refunds = [refund for refund in records.newest_first("refund") if refund["charge"] == charge["id"]]
    return present(
        records,
        shapes.listing(refunds[:10], url=f"/v1/charges/{charge['id']}/refunds", has_more=len(refunds) > 10),
        below,
    )
