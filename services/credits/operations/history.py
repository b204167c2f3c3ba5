"""History: what an account's balance was, what moved it, and what became of its lots. Nothing here changes anything."""

import base64
from datetime import datetime
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.pool import Connection, Pool
from libs.contracts.http.base import Page
from libs.contracts.http.credits_v1 import Lot, Transaction
from libs.contracts.http.history_v1 import (
    Explanation,
    ExportPageQuery,
    LotMovement,
    LotQuery,
    PageQuery,
    PastBalance,
    TransactionDetail,
    TransactionQuery,
)
from services.credits.domain.errors import UnknownAccountError
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts, explanations
from services.credits.store import history as store
from services.credits.store.history import BEGINNING, END, Wanted, WantedLots

_LAST_LEG = 2**15 - 1


async def balance_at(pool: Pool, ledger: Ledger, clock: Clock, account: UUID, *, at: datetime) -> PastBalance:
    """Read what the account had at an instant, as its journal has it. Raises UnknownAccountError."""
    if at >= clock.now():
        await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn:
        await _check_account(conn, account)
        return await store.balance_at(conn, account, at)


async def _check_account(conn: Connection, account: UUID) -> None:
    if not await store.account_exists(conn, account):
        raise UnknownAccountError


async def transactions(pool: Pool, account: UUID, query: TransactionQuery | ExportPageQuery) -> Page[Transaction]:
    """Read a page of what moved the balance, newest first; what comes meanwhile moves no page."""
    before = (query.to or END, 0)
    if query.cursor is not None:
        at, sequence = _read_cursor(query.cursor, 2)
        before = min(before, (_instant(at), _number(sequence)))
    kind, _, name = (query.reference or "").partition(":")
    wanted = Wanted(
        account,
        before,
        query.from_ or BEGINNING,
        query.type,
        (kind, name) if query.reference else None,
        query.q,
    )
    async with pool.connection() as conn:
        found = await store.transactions(conn, wanted, limit=query.limit + 1)
    more = len(found) > query.limit
    last = found[query.limit - 1] if more else None
    return Page(data=found[: query.limit], next_cursor=_cursor(last.at, last.sequence) if last else None)


async def transaction(pool: Pool, account: UUID, key: UUID) -> TransactionDetail:
    """Read one transaction with its movements. Raises NotFoundError for another account's."""
    async with pool.connection() as conn:
        found = await store.transaction(conn, account, key)
    if found is None:
        raise NotFoundError
    return found


async def lots(pool: Pool, account: UUID, query: LotQuery) -> Page[Lot]:
    """Read a page of an account's lots, newest first."""
    async with pool.connection() as conn:
        return await _lots(conn, account, query)


async def _lots(conn: Connection, account: UUID, query: LotQuery) -> Page[Lot]:
    before = _lot(query.cursor) if query.cursor is not None else None
    wanted = WantedLots(account, before, query.kind, query.open)
    found = await store.lots(conn, wanted, limit=query.limit + 1)
    more = len(found) > query.limit
    return Page(data=found[: query.limit], next_cursor=_cursor(found[query.limit - 1].id) if more else None)


async def explain(pool: Pool, ledger: Ledger, clock: Clock, account: UUID, query: PageQuery) -> Explanation:
    """Explain the balance, a page of lots at a time, once what is due has been posted. Raises UnknownAccountError.

    Balance and lots are of one moment.
    """
    await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        balance = await accounts.balance(conn, account, ledger.rules)
        if balance is None:
            raise UnknownAccountError
        page = await _lots(conn, account, LotQuery(limit=query.limit, cursor=query.cursor))
        explained = await explanations.explanations(conn, page.data)
    return Explanation(data=explained, next_cursor=page.next_cursor, balance=balance)


async def lot_movements(pool: Pool, account: UUID, lot: UUID, query: PageQuery) -> Page[LotMovement]:
    """Read a page of what moved a lot's credits, oldest first. Raises NotFoundError for another account's lot."""
    async with pool.connection() as conn:
        begins = await explanations.granted_at(conn, account, lot)
        if begins is None:
            raise NotFoundError
        after = (begins, 0, 0)
        if query.cursor is not None:
            at, sequence, leg = _read_cursor(query.cursor, 3)
            after = max(after, (_instant(at), _number(sequence), min(_number(leg), _LAST_LEG)))
        found = await explanations.movements(conn, account, lot, after=after, limit=query.limit + 1)
    page = [movement for movement, _ in found[: query.limit]]
    if len(found) <= query.limit:
        return Page(data=page)
    last, leg_of_last = found[query.limit - 1]
    return Page(data=page, next_cursor=_cursor(last.at, last.sequence, leg_of_last))


def _cursor(*parts: object) -> str:
    text = " ".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, parts: int) -> list[str]:
    try:
        found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
    except ValueError as error:
        raise _not_ours() from error
    if len(found) != parts:
        raise _not_ours()
    return found


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _not_ours() from error
    if at.tzinfo is None:
        raise _not_ours()
    return at


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _not_ours()
    return int(text)


def _lot(cursor: str) -> UUID:
    try:
        return UUID(_read_cursor(cursor, 1)[0])
    except ValueError as error:
        raise _not_ours() from error


def _not_ours() -> InvalidRequestError:
    return InvalidRequestError("this cursor is not one of ours")
