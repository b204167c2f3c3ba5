"""Exported transactions: a table for spreadsheets, or a line of JSON each."""

import csv
import io
from collections.abc import Iterable

from libs.contracts.credits import format_credits
from libs.contracts.http.credits_v1 import Transaction

COLUMNS = (
    "id",
    "at",
    "type",
    "status",
    "credits",
    "balance_after",
    "description",
    "note",
    "reference_type",
    "reference_id",
    "paid_minor",
    "paid_currency",
    "price_version",
    "sequence",
    "metadata",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(transactions: Iterable[Transaction], *, head: bool) -> bytes:
    """Write rows of a CSV (RFC 4180), the names of its columns before them if asked."""
    written = io.StringIO()
    rows = csv.writer(written)
    if head:
        rows.writerow(COLUMNS)
    for transaction in transactions:
        rows.writerow(_row(transaction))
    return written.getvalue().encode()


def lines(transactions: Iterable[Transaction]) -> bytes:
    """Write each as JSON on a line of its own."""
    return b"".join(transaction.model_dump_json().encode() + b"\n" for transaction in transactions)


def _row(transaction: Transaction) -> list[str | int]:
    paid, shown = transaction.paid, transaction.model_dump(mode="json")
    return [
        shown["id"],
        shown["at"],
        transaction.type,
        transaction.status,
        format_credits(transaction.credits),
        format_credits(transaction.balance_after),
        _text(transaction.description),
        _text(transaction.note),
        _text(transaction.reference_type),
        _text(transaction.reference_id),
        paid.amount_minor if paid else "",
        paid.currency if paid else "",
        _text(transaction.price_version),
        transaction.sequence,
        _text("; ".join(f"{name}={value}" for name, value in transaction.metadata.items())),
    ]


def _text(text: str | None) -> str:
    """Keep a spreadsheet from taking somebody's text for a formula."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text or ""
