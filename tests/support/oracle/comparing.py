"""The two sets of books side by side, in the same words: what the oracle wrote, and what stands in the database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import (
    EnforcementChanged,
    HoldExpired,
    HoldsBlocked,
    HoldsUnblocked,
    LotExpired,
    LowBalance,
    RunawayResumed,
    RunawayStopped,
)
from libs.contracts.events.credits_v1 import CreditsEvent
from services.credits.domain.postings import Result
from tests.support.oracle.model import Oracle
from tests.support.oracle.paper import Answer, Entry, Told
from tests.support.oracle.watch import Who

Rows = dict[Any, tuple[Any, ...]]


def answered(result: Result) -> Answer:
    """Say a result as the oracle would."""
    answer = Answer(
        result.outcome, result.sequence, result.available, result.held, result.debt, result.credits, result.debt_made
    )
    return answer._replace(charge=result.charge.id) if result.charge is not None else answer


def expected(oracle: Oracle) -> dict[str, Rows]:
    """Tell what should stand in the database."""
    return {
        "accounts": {
            id: (
                *(a.state, oracle.available(id), oracle.held(id), a.debt, a.sequence),
                *(a.earned, a.purchased, a.spent, a.expired, a.refunded),
            )
            for id, a in oracle.accounts.items()
        },
        "lots": {
            id: (
                *(lot.account, lot.kind, lot.granted, lot.remaining, lot.taken_back, lot.revision),
                *(*lot.cost, *lot.reference, lot.expires_at),
            )
            for id, lot in oracle.lots.items()
        },
        "holds": {
            id: (
                *(hold.account, hold.state, hold.amount, hold.captured, hold.expires_at),
                *(hold.metered, hold.placed_at),
                [(part.lot, part.reserved, part.left, part.at or hold.placed_at) for part in hold.parts],
            )
            for id, hold in oracle.holds.items()
        },
        "charges": {
            id: (charge.account, charge.amount, charge.refunded, *charge.reference)
            for id, charge in oracle.charges.items()
        },
        "refused": {
            (key, content): (max(answer.available, 0),)
            for key, contents in oracle.refused.items()
            for content, answer in contents.items()
        },
        "marks": {id: (a.resumes_at, a.low, a.uncovered, a.hold_first) for id, a in oracle.accounts.items()},
        "stopped": {who: (one.resumes_at,) for who, one in oracle.spenders.items() if one.stopped},
        "entries": {entry[:3]: entry[3:] for entry in oracle.entries},
        "told": _by_account(oracle.told),
    }


async def found(conn: Connection, oracle: Oracle) -> dict[str, Rows]:
    """Read what stands in the database. The ledger's own postings have keys that the oracle does not know."""
    books = {name: _rows(await conn.fetch(query)) for name, query in _BOOKS.items()}
    for id, hold in books["holds"].items():
        *known, placed_at, parts = hold
        read = [(UUID(part["lot"]), part["reserved"], part["left"], _instant(part) or placed_at) for part in parts]
        books["holds"][id] = (*known, placed_at, read)
    ours = {entry[:3] for entry in oracle.entries if entry.key is not None}
    entries = [Entry(*row) for row in await conn.fetch(_ENTRIES)]
    books["entries"] = {e[:3]: e[3:] if e[:3] in ours else e._replace(key=None)[3:] for e in entries}
    books["refused"] = {
        (row[0], row[1]): (row[2],)
        for row in await conn.fetch("SELECT key, fingerprint, coalesce(available, 0) FROM rejected_usage")
    }
    stopped = await conn.fetch("SELECT account_id, name, resumes_at FROM actor WHERE stopped")
    books["stopped"] = {(row[0], row[1]): (row[2],) for row in stopped}
    events = [CloudEvent.decode(payload) for row in await conn.fetch(_OUTBOX) for payload in row["payloads"]]
    books["told"] = _by_account([_told(event) for event in events if event.type in _TOLD])
    return books


async def tallied(conn: Connection) -> list[tuple[Who, datetime, tuple[int, ...]]]:
    """Read what was counted lately of accounts and of those who spend of them: by which hour, and how much."""
    accounts = await conn.fetch("SELECT id, hour, hour_spent, hour_before_spent, day_spends FROM account")
    actors = await conn.fetch(
        "SELECT account_id, hour, hour_spent, hour_before_spent, day_spent, month_spent, name FROM actor"
    )
    rows = [((row[0], None), *row[1:]) for row in accounts] + [((row[0], row[-1]), *row[1:-1]) for row in actors]
    return [(who, hour, tuple(counted)) for who, hour, *counted in rows if hour is not None]


def _instant(part: dict[str, str]) -> datetime | None:
    return datetime.fromisoformat(part["at"]) if "at" in part else None


def _told(event: CloudEvent) -> Told:
    kind, names = _TOLD[event.type]
    read = kind.of(event)
    return Told(event.type, read.account, read.sequence, tuple(getattr(read, name) for name in names))


def _by_account(told: list[Told]) -> Rows:
    """Sort by account what was told: between accounts there is no order."""
    return {id: tuple(one for one in told if one.account == id) for id in {one.account for one in told}}


def _rows(rows: Any) -> Rows:
    return {row[0]: tuple(row)[1:] for row in rows}


_TOLD: dict[str, tuple[type[CreditsEvent], tuple[str, ...]]] = {
    LotExpired.type: (LotExpired, ("lot", "credits")),
    HoldExpired.type: (HoldExpired, ("hold", "credits")),
    LowBalance.type: (LowBalance, ("change", "available", "threshold")),
    EnforcementChanged.type: (EnforcementChanged, ("enforcement", "available", "near", "possible_overdraft")),
    HoldsBlocked.type: (HoldsBlocked, ("uncovered", "available")),
    HoldsUnblocked.type: (HoldsUnblocked, ("available",)),
    RunawayStopped.type: (RunawayStopped, ("actor", "spent", "limit", "refused", "resumes_at")),
    RunawayResumed.type: (RunawayResumed, ("actor", "by")),
}
_OUTBOX = "SELECT payloads FROM outbox ORDER BY id"
_BOOKS = {
    "accounts": """SELECT id, state, available, held, debt, sequence, earned, purchased, spent, expired, refunded
                     FROM account""",
    "marks": "SELECT id, resumes_at, low, uncovered, hold_first FROM account",
    "lots": """SELECT id, account_id, kind, granted, remaining, taken_back, revision, cost_minor, currency,
                      reference_type, reference_id, expires_at FROM lot_now""",
    "holds": "SELECT id, account_id, state, reserved, captured, expires_at, metered, placed_at, parts FROM hold",
    "charges": "SELECT id, account_id, amount, refunded, reference_type, reference_id FROM charge",
}
_ENTRIES = """SELECT account_id, sequence, leg, at, type, from_bucket, to_bucket, lot_id, amount, available_after,
                     held_after, debt_after, key
                FROM entry ORDER BY account_id, sequence, leg"""
