"""Holds: credits reserved before work, captured for what it cost, extended while it lasts, released if it fails."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.idempotency import Answer, Key
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.http.credits_v1 import TransactionType
from libs.contracts.http.spending_v1 import CaptureOrder, ExtendOrder, HoldOrder
from services.credits.domain.errors import HoldTooLongError
from services.credits.domain.postings import Capture, Cause, Extend, Hold, Release, Result
from services.credits.domain.pricing import Prices
from services.credits.operations import answers
from services.credits.operations.answers import Shown
from services.credits.operations.costs import cost
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.operations.writer import Writer
from services.credits.store import holds as store
from services.credits.store.holds import Wanted


async def place(
    writer: Writer, prices: Prices, policies: Policies, order: HoldOrder, *, now: datetime, caller: str, key: str
) -> Answer:
    """Reserve credits, once for a key of the caller. Raises HoldTooLongError, and why an order cannot be rated."""
    credits, metered, cause = cost(prices, order, "hold", at=now)
    if credits == 0:
        raise InvalidRequestError("this costs nothing, and there is nothing to hold")
    seconds = order.expires_in or policies.hold_seconds
    if seconds > policies.longest_hold_seconds:
        raise HoldTooLongError(longest_seconds=policies.longest_hold_seconds)
    id = ids.new_id()
    posting = Hold(
        account=order.account,
        key=id,
        fingerprint=id,
        amount=credits,
        metered=metered,
        cause=cause,
        actor=caller,
        id=id,
        expires_at=now + timedelta(seconds=seconds),
        ends_by=now + timedelta(seconds=policies.longest_hold_seconds),
    )
    named = Key.of(caller=caller, key=key, operation="hold", body=order.model_dump(mode="json"))
    return await writer.write([posting], key=named, shape=_changed)


async def capture(writer: Writer, hold: UUID, order: CaptureOrder, *, account: UUID, caller: str, key: str) -> Answer:
    """Burn what a hold reserves, or a part of it, once for a key of the caller."""
    id = ids.new_id()
    posting = Capture(
        account=account,
        key=id,
        fingerprint=id,
        amount=order.amount,
        cause=_cause("capture", hold, "Hold captured"),
        actor=caller,
        hold=hold,
        final=order.final,
    )
    named = Key.of(caller=caller, key=key, operation="capture", body=[account, hold, order.amount, order.final])
    return await writer.write([posting], key=named, shape=_changed)


async def release(writer: Writer, hold: UUID, *, account: UUID, caller: str, key: str) -> Answer:
    """Free what a hold still reserves, once for a key of the caller."""
    id = ids.new_id()
    cause = _cause("release", hold, "Hold released")
    posting = Release(account=account, key=id, fingerprint=id, amount=0, cause=cause, hold=hold)
    named = Key.of(caller=caller, key=key, operation="release", body=[account, hold])
    return await writer.write([posting], key=named, shape=_changed)


async def extend(
    writer: Writer, hold: UUID, order: ExtendOrder, *, account: UUID, now: datetime, caller: str, key: str
) -> Answer:
    """Let a hold live longer, counted from now, once for a key of the caller."""
    id = ids.new_id()
    posting = Extend(
        account=account,
        key=id,
        fingerprint=id,
        amount=0,
        cause=_cause("hold", hold, "Hold extended"),
        hold=hold,
        expires_at=now + timedelta(seconds=order.expires_in),
    )
    named = Key.of(caller=caller, key=key, operation="extend", body=[account, hold, order.expires_in])
    return await writer.write([posting], key=named, shape=_changed)


def _cause(type: TransactionType, hold: UUID, description: str) -> Cause:
    return Cause(type, "hold", ids.show("hold", hold), description)


def _changed(results: Sequence[Result], _: datetime) -> Answer:
    (result,) = results
    if result.hold is None or result.outcome != "accepted":
        return answers.refused(result)
    return answers.good({**answers.hold(result.hold), "balance": answers.balance(result)})


async def show(pool: Pool, ledger: Ledger, clock: Clock, hold: UUID, *, account: UUID) -> Shown:
    """Show a hold of an account, once what is due has been posted. Raises NotFoundError for another's."""
    await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn:
        found = await store.find(conn, account, hold)
    if found is None:
        raise NotFoundError
    return answers.hold(found)


async def show_all(
    pool: Pool, ledger: Ledger, clock: Clock, account: UUID, wanted: Wanted, *, limit: int, cursor: str | None
) -> Shown:
    """Show a page of an account's holds, newest first, once what is due has been posted."""
    before = _read_cursor(cursor)
    await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn:
        found = await store.page(conn, account, wanted, before=before, limit=limit + 1)
    more = len(found) > limit
    return {
        "data": [answers.hold(each) for each in found[:limit]],
        "next_cursor": ids.show("hold", found[limit - 1].id) if more else None,
    }


def _read_cursor(cursor: str | None) -> UUID | None:
    try:
        return ids.read("hold", cursor) if cursor else None
    except ValueError as error:
        raise InvalidRequestError("this cursor is not one of ours") from error
