"""Grants by staff: to one account at once, to many in the background; above a limit a second person decides.

Rows are worked off in batches. A batch's lots and its rows' results share a transaction: whoever dies in between has
done nothing, and whoever comes next goes on where the rows say.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.chassis import failpoints, idempotency, outbox
from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.idempotency import Key
from libs.chassis.pool import Connection, Pool
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.credits import LARGEST
from libs.contracts.http.base import Page
from libs.contracts.http.grants_v1 import BulkGrantOrder, Grant, GrantOrder, GrantRow, GrantRowResult, GrantTerms
from services.credits.domain import postings
from services.credits.domain.errors import (
    AccountNotOpenError,
    GrantStateError,
    LimitExceededError,
    SecondPersonNeededError,
    UnknownAccountError,
)
from services.credits.domain.postings import Cause, Result, key_of
from services.credits.operations.accounts import granted
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts
from services.credits.store import grants as store
from services.credits.store.grants import Decided

_ROWS_A_PASS = 500
_FAILURES = {
    "not_open": (codes.ACCOUNT_NOT_OPEN, "The account is closed."),
    "too_much": (codes.CREDIT_LIMIT_EXCEEDED, "That is more than an account can hold."),
}
_REFUSALS = {error.code.code: error for error in (UnknownAccountError, AccountNotOpenError, LimitExceededError)}


async def grant(
    pool: Pool, ledger: Ledger, clock: Clock, order: GrantOrder, *, alone: int | None, caller: str, key: str
) -> Grant:
    """Grant credits to one account, once for a key of the caller; what is above `alone` waits for a second person.

    Raises UnknownAccountError, AccountNotOpenError if it is closed, LimitExceededError if that is more than an account
    can hold: then nothing is kept of it.
    """
    rows = [GrantRow.model_construct(account=order.account, credits=order.credits)]  # which are checked already
    async with pool.transaction() as conn:
        found, fresh = await _record(conn, order, rows, alone=alone, caller=caller, key=key, at=clock.now())
        if fresh and found.state == "running":
            found = await work_off_some(conn, ledger, found)
            await _refuse_what_failed(conn, found)
        failpoints.reach("credits.grant.before_commit")
    failpoints.reach("credits.grant.after_commit")
    return found


async def _refuse_what_failed(conn: Connection, found: Grant) -> None:
    for row in await store.rows_of(conn, found.id, after=0, limit=1):
        if row.problem is not None:
            raise _REFUSALS[row.problem.code](row.problem.detail)


async def grant_many(
    pool: Pool, clock: Clock, order: BulkGrantOrder, *, alone: int | None, caller: str, key: str
) -> Grant:
    """Take a grant to many accounts, once for a key of the caller; `work_off` sees to it.

    Raises InvalidRequestError if it is more than can be counted.
    """
    if sum(row.credits for row in order.rows) > LARGEST:
        raise InvalidRequestError("that many credits in all are beyond what we can count")
    async with pool.transaction() as conn:
        found, _ = await _record(conn, order, order.rows, alone=alone, caller=caller, key=key, at=clock.now())
    return found


async def _record(
    conn: Connection,
    order: GrantTerms,
    rows: Sequence[GrantRow],
    *,
    alone: int | None,
    caller: str,
    key: str,
    at: datetime,
) -> tuple[Grant, bool]:
    """Record a grant, or find the one that was made under this key; tells whether it is fresh."""
    named = Key.of(caller=caller, key=key, operation="grant", body=order.model_dump(mode="json"))
    id = ids.new_id()
    claim = await idempotency.claim(conn, named, subject=id, at=at)
    if not claim.fresh:
        return await _get(conn, claim.subject or id), False
    waits = alone is not None and sum(row.credits for row in rows) > alone
    state = "waiting_for_approval" if waits else "running"
    return await store.record(conn, id, order, rows, state=state, by=caller, at=at), True


async def show(pool: Pool, id: UUID) -> Grant:
    """Tell of a grant, and how far it is. Raises NotFoundError."""
    async with pool.connection() as conn:
        return await _get(conn, id)


async def _get(conn: Connection, id: UUID) -> Grant:
    found = await store.find(conn, id)
    if found is None:
        raise NotFoundError
    return found


async def show_all(pool: Pool, *, limit: int, cursor: str | None) -> Page[Grant]:
    """Read a page of all grants, newest first; the cursor is the last one's id."""
    try:
        before = ids.read("grant", cursor) if cursor else None
    except ValueError as error:
        raise InvalidRequestError("this cursor is not one of ours") from error
    async with pool.connection() as conn:
        found = await store.grants(conn, before=before, limit=limit + 1)
    more = len(found) > limit
    return Page(data=found[:limit], next_cursor=ids.show("grant", found[limit - 1].id) if more else None)


async def show_rows(pool: Pool, id: UUID, *, limit: int, cursor: str | None) -> Page[GrantRowResult]:
    """Read a page of a grant's rows, in their order; the cursor is the last one's number. Raises NotFoundError."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 8):
        raise InvalidRequestError("this cursor is not one of ours")
    async with pool.connection() as conn:
        await _get(conn, id)
        found = await store.rows_of(conn, id, after=int(cursor or 0), limit=limit + 1)
    return Page(data=found[:limit], next_cursor=str(found[limit - 1].number) if len(found) > limit else None)


async def decide(pool: Pool, clock: Clock, id: UUID, *, to: Literal["running", "rejected"], by: str) -> Grant:
    """Approve or reject a grant that waits for a second person; to decide the same again changes nothing.

    Raises NotFoundError, SecondPersonNeededError for who asked for it, GrantStateError if it was decided otherwise.
    """
    async with pool.transaction() as conn:
        if await store.decide(conn, id, to=to, by=by, at=clock.now()):
            return await _get(conn, id)
        found = await _get(conn, id)
    if found.state == "waiting_for_approval":
        raise SecondPersonNeededError
    if found.decided_by != by or (found.state == "rejected") != (to == "rejected"):
        raise GrantStateError(f"the grant is {found.state}", state=found.state)
    return found


async def work_off(pool: Pool, ledger: Ledger) -> int:
    """Grant the next rows of the oldest grant that has some; returns how many rows that was."""
    async with pool.transaction() as conn:
        before = await store.next_running(conn)
        if before is None:
            return 0
        after = await work_off_some(conn, ledger, before)
        failpoints.reach("credits.work_off.before_commit")
    failpoints.reach("credits.work_off.after_commit")
    return after.granted + after.failed - before.granted - before.failed


async def work_off_some(conn: Connection, ledger: Ledger, order: Grant) -> Grant:
    """Grant the next rows of a locked grant."""
    rows = await store.waiting_rows(conn, order.id, _ROWS_A_PASS)
    open_ones = await accounts.sequences(conn, [row.account for row in rows if row.account is not None])
    wanted = [(row, _posting(order, row, row.account)) for row in rows if row.account and row.account in open_ones]
    at, results = await ledger.apply(conn, [posting for _, posting in wanted])
    decided = [_decided(row, result) for (row, _), result in zip(wanted, results, strict=True)]
    decided += [_unknown(row) for row in rows if row.account not in open_ones]
    told = [
        granted(posting, result, at)
        for (_, posting), result in zip(wanted, results, strict=True)
        if result.outcome == "accepted"
    ]
    await outbox.append(conn, *told, at=at)
    await store.settle_rows(conn, order.id, decided)
    done = sum(row.lot is not None for row in decided)
    return await store.note_progress(conn, order.id, granted=done, failed=len(decided) - done, at=at)


def _posting(order: Grant, row: GrantRowResult, account: UUID) -> postings.Grant:
    """Make a row's grant: its reference is granted once, whoever works it off."""
    reference = f"{ids.show('grant', order.id)}/{row.number}"
    return postings.Grant(
        account=account,
        key=key_of("staff_grant", reference),
        fingerprint=key_of(str(row.credits)),
        amount=row.credits,
        cause=Cause("granted", "grant", reference, row.note or order.note),
        lot=ids.new_id(),
        kind=order.kind,
        expires_at=order.expires_at,
    )


def _decided(row: GrantRowResult, result: Result) -> Decided:
    posting = result.posting
    if result.outcome == "accepted" and isinstance(posting, postings.Grant):
        return Decided(row.number, posting.lot)
    code, detail = _FAILURES[result.outcome]
    return Decided(row.number, None, code.code, detail)


def _unknown(row: GrantRowResult) -> Decided:
    detail = "No ledger account has this id." if row.account else "Nobody has this e-mail address."
    return Decided(row.number, None, codes.UNKNOWN_ACCOUNT.code, detail)
