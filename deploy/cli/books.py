"""Comparing books: Stripe's (the sandbox's), payments' and credits' must tell of the same money and the same credits.

Invariant I3: every payment that Stripe has is one paid purchase and its lots, with the same amount, currency, owner;
and the reverse. Invariant I7: what Stripe gave back is what we recorded, and its credits were taken back.
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
    """The three books: payments at Stripe, purchases, lots; each by the purchase's public id."""

    stripe: dict[str, dict[str, Any]]
    purchases: dict[str, dict[str, Any]]
    lots: dict[str, list[dict[str, Any]]]


async def read_books(*, payments_url: str, credits_url: str, sandbox_url: str) -> Books:
    """Read all three."""
    async with httpx2.AsyncClient(base_url=sandbox_url, timeout=30) as http:
        answer = (await http.get("/sandbox/books")).raise_for_status().json()
    paid = [p for p in answer["payment_intents"] if p["status"] == "succeeded" and "purchase" in p["metadata"]]
    return Books(
        {payment["metadata"]["purchase"]: payment for payment in paid},
        {
            ids.show("purchase", row["id"]): row
            for row in await _rows(payments_url, "SELECT * FROM purchase WHERE paid_at IS NOT NULL")
        },
        _by_reference(await _rows(credits_url, "SELECT * FROM lot WHERE reference_type = 'purchase'")),
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
        if lots is None:
            yield f"{purchase}: no lot was granted for it"
        if payment is not None and record is not None:
            yield from _money(purchase, payment, record)
        if record is not None and lots is not None:
            yield from _credits(purchase, record, lots)


def _money(purchase: str, payment: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    pairs = {
        "amount": (payment["amount_received"], record["amount_minor"]),
        "currency": (payment["currency"], record["currency"]),
        "payment intent": (payment["id"], record["payment_intent"]),
        "refunded amount": (payment["amount_refunded"], record["refunded_minor"]),
        "account": (payment["metadata"].get("account"), ids.show("account", record["account"])),
    }
    for what, (stripe, ours) in pairs.items():
        if stripe != ours:
            yield f"{purchase}: its {what} is {stripe} at Stripe and {ours} with us"


def _credits(purchase: str, record: dict[str, Any], lots: list[dict[str, Any]]) -> Iterator[str]:
    granted, bought = sum(lot["granted"] for lot in lots), record["credits"] + record["bonus"]
    if granted != bought:
        yield f"{purchase}: {bought} micro-credits were bought and {granted} granted"
    if any(lot["account_id"] != record["account"] for lot in lots):
        yield f"{purchase}: its credits went to another account"
    taken = sum(lot["taken_back"] for lot in lots)
    if record["state"] == "refunded" and taken != granted:
        yield f"{purchase}: it is refunded whole, and {taken} of {granted} micro-credits were taken back"
    if record["refunded_minor"] == 0 and taken:
        yield f"{purchase}: nothing is refunded, and {taken} micro-credits were taken back"
