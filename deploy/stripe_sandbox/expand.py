"""Answers as Stripe gives them: ids turned into objects where `expand` asks for it, nothing of the sandbox's own."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from deploy.stripe_sandbox import balance, coupons, promotion_codes, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object

DEEPEST = 4

AS_OF_NOW: dict[str, Callable[[Call, Object], Object]] = {
    "balance_transaction": balance.as_of_now,
    "coupon": coupons.as_of_now,
    "promotion_code": promotion_codes.as_of_now,
}
"""What time alone changes in an object, without anybody writing it down."""

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
    ("dispute", "charge"): "charge",
    ("dispute", "payment_intent"): "payment_intent",
    ("radar.early_fraud_warning", "charge"): "charge",
    ("radar.early_fraud_warning", "payment_intent"): "payment_intent",
    ("setup_intent", "customer"): "customer",
    ("setup_intent", "payment_method"): "payment_method",
    ("checkout.session", "setup_intent"): "setup_intent",
    ("promotion_code", "customer"): "customer",
    ("refund", "failure_balance_transaction"): "balance_transaction",
}
HASHES = {("promotion_code", "promotion"), ("checkout.session", "discounts")}
"""Fields that hold a hash, or several, with ids of coupons and promotion codes in it."""
SOURCES = {"ch": "charge", "re": "refund", "du": "dispute"}
"""Of what kind the source of a balance transaction is, by how its name begins."""
NEVER_SET = {
    ("payment_intent", "application"), ("payment_intent", "on_behalf_of"), ("payment_intent", "review"),
    ("charge", "application"), ("charge", "application_fee"), ("charge", "failure_balance_transaction"),
    ("charge", "on_behalf_of"), ("charge", "review"), ("charge", "source_transfer"),
    ("refund", "source_transfer_reversal"), ("refund", "transfer_reversal"), ("customer", "default_source"),
    ("customer", "test_clock"), ("checkout.session", "invoice"), ("checkout.session", "payment_link"),
    ("checkout.session", "subscription"), ("product", "tax_code"), ("setup_intent", "application"),
    ("setup_intent", "latest_attempt"), ("setup_intent", "mandate"), ("setup_intent", "on_behalf_of"),
}  # fmt: skip
"""What Stripe can expand and is always null here."""


def present(call: Call, item: Object, paths: Iterable[str]) -> Object:
    """Give an answer with these paths expanded; `data.` stands before them in a list."""
    branches = _branches(paths)
    result = shapes.shown(_as_of_now(call, item))
    if item.get("object") in ("list", "search_result"):
        below = branches.pop("data", [])
        _refuse(branches)
        return {**result, "data": [present(call, each, below) for each in item["data"]]}
    for field, below in branches.items():
        result[field] = _expanded(call, item, field, below)
    return result


def _as_of_now(call: Call, item: Object) -> Object:
    what_time_changes = AS_OF_NOW.get(item.get("object", ""))
    return what_time_changes(call, item) if what_time_changes and not item.get("deleted") else item


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


def _expanded(call: Call, item: Object, field: str, below: list[str]) -> Any:
    kind = item["object"]
    if (kind, field) == ("checkout.session", "line_items"):
        return _lines(call, item, below)
    if (kind, field) == ("charge", "refunds"):
        return _refunds(call, item, below)
    if (kind, field) in HASHES:
        return _in_hashes(call, item[field], below)
    if (kind, field) not in EXPANDABLE and (kind, field) not in NEVER_SET:
        _refuse([field])
    value = item.get(field)
    if not isinstance(value, str):
        return value
    wanted = SOURCES[value.partition("_")[0]] if kind == "balance_transaction" else EXPANDABLE[kind, field]
    found = call.records.get(wanted, value)
    return present(call, found, below) if found else value


def _in_hashes(call: Call, value: Any, below: list[str]) -> Any:
    if isinstance(value, list):
        return [_in_hashes(call, each, below) for each in value]
    result = dict(value)
    for field, rest in _branches(below).items():
        if field not in ("coupon", "promotion_code") or field not in value:
            _refuse([field])
        found = call.records.get(field, value[field] or "")
        result[field] = present(call, found, rest) if found else value[field]
    return result


def _lines(call: Call, session: Object, below: list[str]) -> Object:
    lines = shapes.listing(
        session["_line_items"], url=f"/v1/checkout/sessions/{session['id']}/line_items", has_more=False
    )
    return present(call, lines, below)


def _refunds(call: Call, charge: Object, below: list[str]) -> Object:
    refunds = [refund for refund in call.records.newest_first("refund") if refund["charge"] == charge["id"]]
    return present(
        call,
        shapes.listing(refunds[:10], url=f"/v1/charges/{charge['id']}/refunds", has_more=len(refunds) > 10),
        below,
    )
