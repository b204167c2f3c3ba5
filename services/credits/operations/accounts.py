"""Ledger accounts: opening one, once, with the welcome bonus; reading what is in it."""

import base64
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.errors import InvalidRequestError
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.catalogue import WelcomeBonus
from libs.contracts.events import CreditsGranted
from libs.contracts.http.base import Page
from libs.contracts.http.credits_v1 import Balance, Lot, Transaction
from services.credits import store
from services.credits.domain import Cause, Grant, UnknownAccountError, key_of
from services.credits.operations.ledger import Ledger


async def open_account(
    pool: Pool, ledger: Ledger, account: UUID, *, bonus: WelcomeBonus | None, now: datetime
) -> Balance:
    """Open the account and grant its welcome bonus; a second time changes nothing."""
    async with pool.transaction() as conn:
        await store.open_accounts(conn, [account], now)
        if bonus is not None:
            grant = _welcome(account, bonus)
            at, (result,) = await ledger.apply(conn, [grant])
            if result.outcome == "accepted":
                await outbox.append(conn, granted(grant, result.sequence or 0, result.available or 0, at), at=at)
        return await _balance(conn, account, now)


def _welcome(account: UUID, bonus: WelcomeBonus) -> Grant:
    cause = Cause("bonus", "welcome", ids.show("account", account), "Welcome bonus")
    key = key_of("welcome")
    return Grant(account, key, key_of(str(bonus.credits)), bonus.credits, cause, kind=bonus.kind)


def granted(grant: Grant, sequence: int, available: int, at: datetime) -> CreditsGranted:
    """Tell of a grant."""
    return CreditsGranted(
        account=grant.account,
        sequence=sequence,
        occurred_at=at,
        lot=grant.lot,
        kind=grant.kind,
        credits=grant.amount,
        reason=grant.cause.reference_type,
        reference=grant.cause.reference_id,
        available=max(available, 0),
    )


async def balance(pool: Pool, account: UUID, *, now: datetime) -> Balance:
    """Read a balance. Raises UnknownAccountError."""
    async with pool.connection() as conn:
        return await _balance(conn, account, now)


async def _balance(conn: Connection, account: UUID, now: datetime) -> Balance:
    found = await store.balance(conn, account, now)
    if found is None:
        raise UnknownAccountError
    return found


async def lots(pool: Pool, account: UUID, *, limit: int, cursor: str | None) -> Page[Lot]:
    """Read a page of an account's lots, newest first."""
    async with pool.connection() as conn:
        before = _read_cursor(cursor)
        found = await store.lots(conn, account, before=UUID(before) if before else None, limit=limit + 1)
    return Page(data=found[:limit], next_cursor=_cursor(str(found[limit - 1].id)) if len(found) > limit else None)


async def transactions(pool: Pool, account: UUID, *, limit: int, cursor: str | None) -> Page[Transaction]:
    """Read a page of what moved an account's balance, newest first."""
    async with pool.connection() as conn:
        before = _read_cursor(cursor)
        found = await store.transactions(conn, account, before=int(before) if before else None, limit=limit + 1)
    more = len(found) > limit
    return Page(data=found[:limit], next_cursor=_cursor(str(found[limit - 1].sequence)) if more else None)


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        UUID(text) if "-" in text else int(text)
    except ValueError as error:
        raise InvalidRequestError("this cursor is not one of ours") from error
    return text
