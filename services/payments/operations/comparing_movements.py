"""Stripe to us: money that moved there and that our record does not show is looked at, by the way of all webhooks."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.telemetry import log
from libs.contracts.http.reconciliation_v1 import FindingKind
from services.payments.clients.stripe_lists import balance_transactions
from services.payments.domain.movements import (
    BalanceTransaction,
    Movement,
    MovementKind,
    Recorded,
    shows,
    shows_after_looking,
)
from services.payments.domain.reconciliation import Disagreement, Page, Walk
from services.payments.operations import settlement
from services.payments.operations.findings import Sides, close, record
from services.payments.operations.looking import look
from services.payments.store import movements as store

_OPEN: tuple[FindingKind, ...] = ("payment_unsettled", "payment_missing", "payment_differs", "unknown_purchase")
"""What may be open of a payment that agrees by now."""

_MISSED: dict[MovementKind, FindingKind] = {
    "charge": "refund_missed",
    "refund": "refund_missed",
    "refund_failure": "refund_missed",
    "dispute": "dispute_missed",
    "dispute_reversal": "dispute_missed",
}
"""What we had missed of a payment that we knew of."""


async def compare_movements(sides: Sides, walk: Walk) -> Page:
    """Compare a page of Stripe's balance with our record. Raises UnavailableError if Stripe does not answer."""
    entries = await balance_transactions(sides.stripe, since=walk.since, until=walk.until, after=walk.cursor)
    found = await _read_all(sides, entries.data)
    agreed = await _compare(sides, found) if found else []
    if agreed:
        async with sides.pool.transaction() as conn:
            await store.note(conn, agreed)
            await close(conn, _OPEN, [one.payment_intent for one in agreed], at=sides.clock.now())
    return Page(len(entries.data), entries.last, entries.reached or walk.since)


async def _read_all(sides: Sides, entries: Sequence[Mapping[str, Any]]) -> list[Movement]:
    """Read the entries that are of payments; one that cannot be read is found, and the others are gone on with."""
    found, unreadable = list[Movement](), dict[str, str]()
    for entry in entries:
        try:
            movement = Movement.of(BalanceTransaction.model_validate(entry))
        except ValidationError as error:
            log.exception("reconciliation.cannot_read", entry=entry["id"])
            unreadable[str(entry["id"])] = f"not as we know them: {', '.join(sorted(_places(error)))}"
        else:
            found += [movement] if movement is not None else []
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        await close(conn, ("entry_unreadable",), [one.id for one in found], at=at)
        for entry_id, why in unreadable.items():
            await record(conn, Disagreement("entry_unreadable", entry_id, None, why), at=at)
    return found


def _places(error: ValidationError) -> set[str]:
    return {".".join(str(part) for part in each["loc"]) for each in error.errors()}


async def _compare(sides: Sides, found: Sequence[Movement]) -> list[Movement]:
    """Compare movements; returns those that agree, mended or not."""
    payments = [movement.payment_intent for movement in found]
    named = [purchase for movement in found if (purchase := movement.source.ours("purchase")) is not None]
    async with sides.pool.connection() as conn:
        ours, noted = await store.recorded(conn, payments, named, movements=[movement.id for movement in found])
    by_id = {one.id: one for one in ours}
    by_payment = {one.payment_intent: one.id for one in ours}
    agreed = []
    for movement in found:
        purchase = movement.source.ours("purchase") or by_payment.get(movement.payment_intent)
        known = by_id.get(purchase) if purchase is not None else None
        if known is None and purchase is not None:
            await _put_aside(sides, movement)
        elif known is None:
            agreed += [movement] if movement.kind != "charge" else []  # its charge, which is older, tells whose it is
        elif shows(known, movement, noted=movement.id in noted):
            agreed.append(movement)
        elif (after := await _mend(sides, movement, known)) is not None:
            by_id[known.id] = after
            agreed.append(movement)
    return [movement for movement in agreed if movement.id not in noted]


async def _mend(sides: Sides, movement: Movement, known: Recorded) -> Recorded | None:
    """Look where the purchase stands; returns what we have of it then, or None if it still does not agree."""
    try:
        outcome = await look(sides.pool, sides.stripe, known.id, clock=sides.clock, at=movement.payment_intent)
    except RETRYABLE:
        raise
    except Exception as error:
        log.exception("reconciliation.cannot_look", payment=movement.payment_intent)
        why = f"looking at it failed: {type(error).__name__}"
        await _record(sides, Disagreement("payment_unsettled", movement.payment_intent, known.id, why))
        return None
    async with sides.pool.connection() as conn:
        (after,), _ = await store.recorded(conn, [], [known.id], movements=[])
    if outcome == "quarantined":
        why = "it differs from our record, credits nothing, and lies in quarantine"
        await _record(sides, Disagreement("payment_differs", movement.payment_intent, known.id, why))
        return None
    if not shows_after_looking(after, movement):
        why = f"Stripe has {movement.amount_minor} {movement.source.currency}, and the purchase is {after.state}"
        await _record(sides, Disagreement("payment_unsettled", movement.payment_intent, known.id, why))
        return None
    if after != known:
        await _record(sides, _missed(movement, known), repaired=True)
    return after


def _missed(movement: Movement, known: Recorded) -> Disagreement:
    if not known.paid:
        why = f"{movement.amount_minor} {movement.source.currency} were paid, and the purchase was {known.state}"
        return Disagreement("payment_missed", movement.payment_intent, known.id, why)
    about = movement.payment_intent if movement.kind == "charge" else movement.source.id
    why = f"{movement.kind} of {movement.amount_minor} {movement.source.currency} at {movement.moved_at:%F %T}"
    return Disagreement(_MISSED[movement.kind], about, known.id, why)


async def _put_aside(sides: Sides, movement: Movement) -> None:
    """Keep what names a purchase that we never made."""
    body = movement.source.model_dump(mode="json")
    found = Disagreement("unknown_purchase", movement.payment_intent, None, f"it names {body['metadata']['purchase']}")
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        await settlement.put_aside(conn, "unknown_purchase", body, purchase=None, event_id=None, at=at)
        await record(conn, found, at=at)


async def _record(sides: Sides, found: Disagreement, *, repaired: bool = False) -> None:
    async with sides.pool.transaction() as conn:
        await record(conn, found, at=sides.clock.now(), repaired=repaired)
