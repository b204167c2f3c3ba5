"""Comparing books: Stripe's (the sandbox's), payments' and credits' must tell of the same money and the same credits.

Invariant I3: every payment that Stripe has is one paid purchase and its lots, with the same amount, currency, owner;
and the reverse. Invariant I7: what Stripe gave back and what banks took is what we recorded, and its credits were taken
back. What was bought as a gift card has no lots of its own; each voucher that was redeemed has one, and the reverse.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from libs.contracts import ids


@dataclass(frozen=True, slots=True)
class Books:
    """The three books: payments at Stripe, purchases, lots; each by the purchase's public id, or the voucher's."""

    stripe: dict[str, dict[str, Any]]
    purchases: dict[str, dict[str, Any]]
    lots: dict[str, list[dict[str, Any]]]
    vouchers: dict[str, dict[str, Any]]
    voucher_lots: dict[str, list[dict[str, Any]]]


_PAID = """SELECT p.*, g.id IS NOT NULL AS is_gift_card, coalesce(r.bonus, 0) AS promo_bonus
             FROM purchase AS p LEFT JOIN gift_card AS g ON g.purchase = p.id
             LEFT JOIN promo_redemption AS r ON r.purchase = p.id
            WHERE p.paid_at IS NOT NULL"""


async def read_books(*, payments_url: str, credits_url: str, sandbox_url: str) -> Books:
    """Read all three."""
    async with httpx2.AsyncClient(base_url=sandbox_url, timeout=30) as http:
        answer = (await http.get("/sandbox/books")).raise_for_status().json()
    paid = [p for p in answer["payment_intents"] if p["status"] == "succeeded" and "purchase" in p["metadata"]]
    return Books(
        {payment["metadata"]["purchase"]: payment for payment in paid},
        {ids.show("purchase", row["id"]): row for row in await _rows(payments_url, _PAID)},
        _by_reference(await _rows(credits_url, "SELECT * FROM lot WHERE reference_type = 'purchase'")),
        {
            ids.show("voucher", row["id"]): row
            for row in await _rows(payments_url, "SELECT * FROM voucher WHERE redeemed_at IS NOT NULL")
        },
        _by_reference(await _rows(credits_url, "SELECT * FROM lot WHERE reference_type = 'voucher'")),
    )


async def read_entries(credits_url: str, account: UUID) -> list[dict[str, Any]]:
    """Read an account's journal, oldest first, with the kind of lot that each entry moves."""
    query = """SELECT e.*, coalesce(l.kind, '') AS kind FROM entry AS e LEFT JOIN lot AS l ON l.id = e.lot_id
                WHERE e.account_id = $1 ORDER BY e.sequence, e.leg"""
    return await _rows(credits_url, query, account)


async def _rows(url: str, query: str, *args: object) -> list[dict[str, Any]]:
    conn = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await conn.fetch(query, *args)]
    finally:
        await conn.close()


def _by_reference(lots: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for lot in lots:
        found.setdefault(lot["reference_id"], []).append(lot)
    return found


def differences(books: Books) -> Iterator[str]:
    """Say in words where the books differ; nothing while they agree."""
    for purchase in sorted(books.stripe.keys() | books.purchases.keys() | books.lots.keys()):
        payment, record, lots = books.stripe.get(purchase), books.purchases.get(purchase), books.lots.get(purchase)
        if payment is None:
            yield f"{purchase}: Stripe has no payment for it"
        if record is None:
            yield f"{purchase}: payments has no paid purchase for it"
        gift_card = record is not None and record["is_gift_card"]
        if (lots is None) != gift_card:
            wrong = "it is a gift card, and a lot was granted" if gift_card else "no lot was granted for it"
            yield f"{purchase}: {wrong}"
        if payment is not None and record is not None:
            yield from _money(purchase, payment, record)
        if record is not None and lots is not None:
            yield from _credits(purchase, record, lots)
    for voucher in sorted(books.vouchers.keys() | books.voucher_lots.keys()):
        yield from _redeemed(voucher, books.vouchers.get(voucher), books.voucher_lots.get(voucher, []))


def _redeemed(voucher: str, record: dict[str, Any] | None, lots: list[dict[str, Any]]) -> Iterator[str]:
    if record is None:
        yield f"{voucher}: it has a lot and was not redeemed"
        return
    known = ("account", "credits", "kind", "cost_minor", "currency")
    granted = ("account_id", "granted", "kind", "cost_minor", "currency")
    if [tuple(lot[name] for name in granted) for lot in lots] != [tuple(record[name] for name in known)]:
        yield f"{voucher}: what was redeemed is not what was granted"
    told = (record["taken_back_revision"] or 0, record["taken_back"] or 0)
    if any(lot["revision"] < told[0] or lot["taken_back"] > told[1] for lot in lots):
        yield f"{voucher}: what was taken back of it is not what was told to be"


def _money(purchase: str, payment: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    pairs = {
        "amount": (payment["amount_received"], record["amount_minor"]),
        "currency": (payment["currency"], record["currency"]),
        "payment intent": (payment["id"], record["payment_intent"]),
        "refunded amount": (payment["amount_refunded"], record["refunded_minor"]),
        "disputed amount": (payment["amount_disputed"], record["withdrawn_minor"]),
        "account": (payment["metadata"].get("account"), ids.show("account", record["account"])),
    }
    for what, (stripe, ours) in pairs.items():
        if stripe != ours:
            yield f"{purchase}: its {what} is {stripe} at Stripe and {ours} with us"


def _credits(purchase: str, record: dict[str, Any], lots: list[dict[str, Any]]) -> Iterator[str]:
    granted, bought = sum(lot["granted"] for lot in lots), record["credits"] + record["bonus"] + record["promo_bonus"]
    if granted != bought:
        yield f"{purchase}: {bought} micro-credits were bought and {granted} granted"
    if any(lot["account_id"] != record["account"] for lot in lots):
        yield f"{purchase}: its credits went to another account"
    taken = sum(lot["taken_back"] for lot in lots)
    gone = record["refunded_minor"] + record["withdrawn_minor"]
    if gone >= record["amount_minor"] and taken != granted:
        yield f"{purchase}: all its money went back, and {taken} of {granted} micro-credits were taken back"
    if gone == 0 and taken:
        yield f"{purchase}: no money of it went back, and {taken} micro-credits were taken back"
