"""Usage: rate what services report, burn it, reject what cannot be covered. The decision on an event is made once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from libs.chassis import failpoints, outbox
from libs.chassis.errors import DomainError
from libs.chassis.pool import Connection, Pool
from libs.contracts.credits import format_credits
from libs.contracts.errors import INVALID_REQUEST, ErrorCode
from libs.contracts.events import UsageRejected
from services.credits.domain.postings import REFUSALS, Cause, Result, Usage
from services.credits.domain.pricing import Timeline
from services.credits.domain.usage_events import UsageEvent
from services.credits.operations.costs import metered
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts, usage

OLDEST = timedelta(days=35)
NEWEST = timedelta(hours=1)
"""How far from now the time of an event may lie: keys of dated events are remembered for as long."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A usage that burns nothing, and why."""

    event: UsageEvent
    code: ErrorCode
    detail: str
    required: int | None = None
    available: int | None = None


class Rated(Struct, eq=False, gc=False):
    """A usage event, and what is to be burnt for it, or why nothing can be."""

    event: UsageEvent
    posting: Usage | None
    refusal: Refusal | None


def rated(timeline: Timeline, event: UsageEvent, now: datetime, *, oldest: timedelta | None = OLDEST) -> Rated:
    """Rate an event, before anything is locked, by the prices of its own time; of now, if that lies ahead."""
    if event.problem is not None:
        return _unratable(event, INVALID_REQUEST, event.problem)
    if event.time is not None and _lies_too_far(event.time, now, oldest):
        return _unratable(event, INVALID_REQUEST, "the event's time lies too far in the past or the future")
    prices = timeline.at(now if event.time is None else min(event.time, now))
    try:
        rating = prices.rate(event.meter, event.quantity, event.properties)
    except DomainError as error:
        return _unratable(event, error.code, error.detail)
    cause = Cause("usage", None, event.meter, None, event.details(), prices.version)
    posting = Usage(
        account=event.account,
        key=event.key,
        fingerprint=event.fingerprint,
        amount=rating.credits,
        metered=metered(rating, event.meter, event.time or now),
        cause=cause,
        actor=event.actor,
        undated=event.time is None,
    )
    return Rated(event, posting, None)


def _lies_too_far(time: datetime, now: datetime, oldest: timedelta | None) -> bool:
    return time > now + NEWEST or (oldest is not None and time < now - oldest)


def _unratable(event: UsageEvent, code: ErrorCode, detail: str) -> Rated:
    return Rated(event, None, Refusal(event, code, detail))


async def burn(pool: Pool, ledger: Ledger, usages: Sequence[Rated]) -> tuple[list[Result], list[Refusal]]:
    """Burn a batch in one transaction; what is refused is kept, and told with an event.

    A repeated event changes nothing, whether it was burnt or refused before.
    """
    burning = [(usage.event, usage.posting) for usage in usages if usage.posting is not None]
    refusals = [usage.refusal for usage in usages if usage.refusal is not None]
    async with pool.transaction() as conn:
        at, results = await ledger.apply(conn, [posting for _, posting in burning])
        refusals += [
            _refusal(event, result)
            for (event, _), result in zip(burning, results, strict=True)
            if result.outcome in REFUSALS
        ]
        await _record(conn, refusals, at)
        failpoints.reach("credits.burn.before_commit")
    failpoints.reach("credits.burn.after_commit")
    return results, refusals


def _refusal(event: UsageEvent, result: Result) -> Refusal:
    code, detail = REFUSALS[result.outcome]
    if result.outcome == "insufficient":
        have = format_credits(max(result.available, 0))
        detail = f"This costs {format_credits(result.posting.amount)} credits, {have} are available."
    return Refusal(event, code, detail, result.posting.amount, max(result.available, 0))


async def _record(conn: Connection, refusals: Sequence[Refusal], at: datetime) -> None:
    """Keep refusals, each once, and tell of those that are new."""
    if not refusals:
        return
    fresh = await usage.keep_refusals(conn, [_row(refusal) for refusal in refusals], at=at)
    sequences = await accounts.sequences(conn, [refusal.event.account for refusal in refusals])
    told = [
        UsageRejected(
            account=refusal.event.account,
            sequence=sequences.get(refusal.event.account, 0),
            occurred_at=at,
            usage_source=refusal.event.source,
            usage_id=refusal.event.id,
            meter=refusal.event.meter,
            code=refusal.code.code,
            detail=refusal.detail,
            required=refusal.required,
            available=refusal.available,
        )
        for refusal, is_new in zip(refusals, fresh, strict=True)
        if is_new
    ]
    await outbox.append(conn, *told, at=at)


def _row(refusal: Refusal) -> usage.RefusedUsage:
    event = refusal.event
    return usage.RefusedUsage(
        event.account,
        event.key,
        event.fingerprint,
        event.source,
        event.id,
        event.meter,
        event.payload.decode(),
        refusal.code.code,
        refusal.detail,
        refusal.required,
        refusal.available,
    )
