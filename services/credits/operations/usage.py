"""Usage: rate what services report, burn it, reject what cannot be covered. The decision on an event is made once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis import failpoints, outbox
from libs.chassis.errors import DomainError
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.catalogue import PriceBook
from libs.contracts.credits import format_credits
from libs.contracts.envelope import CloudEvent
from libs.contracts.errors import INVALID_REQUEST, MALFORMED_EVENT, ErrorCode
from libs.contracts.events import UsageRejected
from libs.contracts.events.usage_v1 import UsageData
from services.credits import store
from services.credits.domain import REFUSALS, Cause, Result, Spend, key_of, rate
from services.credits.operations.ledger import Ledger

OLDEST = timedelta(days=35)
NEWEST = timedelta(hours=1)
"""How far from now the time of an event may lie: keys are remembered for as long."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A usage event whose envelope could be read: which account, which deduplication key, what it says."""

    account: UUID
    key: bytes
    fingerprint: bytes
    event: CloudEvent


@dataclass(frozen=True, slots=True)
class Refusal:
    """A usage that burns nothing, and why."""

    usage: Usage
    code: ErrorCode
    detail: str
    required: int | None = None
    available: int | None = None


class MalformedEventError(DomainError):
    """This is not a usage event."""

    code = MALFORMED_EVENT


def read(payload: bytes) -> Usage:
    """Read a record's envelope. Raises MalformedEventError: it cannot even be said whom it is about."""
    try:
        event = CloudEvent.decode(payload)
        account = ids.read("account", event.subject or "")
    except ValueError as error:
        raise MalformedEventError(f"not a usage event: {error}") from error
    # not its time: a service that reports again what it reported already may well date it anew
    said = event.model_dump_json(include={"type", "subject", "data"}).encode()
    return Usage(account, key_of("usage", event.source, event.id), hashlib.sha256(said).digest()[:16], event)


async def burn(
    pool: Pool, ledger: Ledger, book: PriceBook, usages: Sequence[Usage], *, now: datetime
) -> tuple[list[Result], list[Refusal]]:
    """Rate and burn a batch in one transaction; what is refused is kept, and told with an event.

    A repeated event changes nothing, whether it was burnt or refused before.
    """
    rated = [_rate(book, usage, now) for usage in usages]
    spends = {spend.id: usage for spend, usage in zip(rated, usages, strict=True) if isinstance(spend, Spend)}
    async with pool.transaction() as conn:
        at, results = await ledger.apply(conn, [spend for spend in rated if isinstance(spend, Spend)])
        refusals = [r for r in rated if isinstance(r, Refusal)]
        refusals += [_refusal(spends[r.posting.id], r) for r in results if r.outcome in REFUSALS]
        await _record(conn, refusals, at)
        failpoints.reach("credits.burn.before_commit")
    failpoints.reach("credits.burn.after_commit")
    return results, refusals


def _rate(book: PriceBook, usage: Usage, now: datetime) -> Spend | Refusal:
    event = usage.event
    try:
        data = UsageData.model_validate(event.data)
    except ValueError as error:
        return Refusal(usage, INVALID_REQUEST, f"the event's data cannot be read: {error}"[:1000])
    if event.time is not None and not now - OLDEST <= event.time <= now + NEWEST:
        return Refusal(usage, INVALID_REQUEST, "the event's time lies too far in the past or the future")
    try:
        rating = rate(book, event.type, data)
    except DomainError as error:
        return Refusal(usage, error.code, error.detail)
    details = {"source": event.source, "event_id": event.id, "quantity": str(data.quantity), **data.properties}
    cause = Cause("usage", "meter", event.type, _describe(event.type, data), details, rating.price_version)
    return Spend(usage.account, usage.key, usage.fingerprint, rating.credits, cause)


def _describe(meter: str, data: UsageData) -> str:
    return f"{data.quantity.normalize():f} x {meter}"


def _refusal(usage: Usage, result: Result) -> Refusal:
    code, detail = REFUSALS[result.outcome]
    if result.outcome == "insufficient":
        have = format_credits(result.available or 0)
        detail = f"This costs {format_credits(result.posting.amount)} credits, {have} are available."
    return Refusal(usage, code, detail, result.posting.amount, result.available)


async def _record(conn: Connection, refusals: Sequence[Refusal], at: datetime) -> None:
    """Keep refusals, each once, and tell of those that are new."""
    if not refusals:
        return
    fresh = await store.keep_refusals(conn, [_row(refusal) for refusal in refusals], at)
    sequences = await store.sequences(conn, [refusal.usage.account for refusal in refusals])
    told = [
        UsageRejected(
            account=refusal.usage.account,
            sequence=sequences.get(refusal.usage.account, 0),
            occurred_at=at,
            usage_source=refusal.usage.event.source,
            usage_id=refusal.usage.event.id,
            meter=refusal.usage.event.type,
            code=refusal.code.code,
            detail=refusal.detail,
            required=refusal.required,
            available=refusal.available,
        )
        for refusal, is_new in zip(refusals, fresh, strict=True)
        if is_new
    ]
    await outbox.append(conn, *told, at=at)


def _row(refusal: Refusal) -> store.RefusedUsage:
    event = refusal.usage.event
    return store.RefusedUsage(
        refusal.usage.account,
        refusal.usage.key,
        refusal.usage.fingerprint,
        event.source,
        event.id,
        event.type,
        event.model_dump(mode="json"),
        refusal.code.code,
        refusal.detail,
        refusal.required,
        refusal.available,
    )
