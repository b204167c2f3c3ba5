"""Ledger accounts: opening one, once, with the welcome bonus; reading what is in it."""

from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.catalogue import WelcomeBonus
from libs.contracts.events import CreditsGranted
from libs.contracts.http.credits_v1 import Balance
from services.credits.domain.errors import UnknownAccountError
from services.credits.domain.postings import Cause, Grant, Result, key_of
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts, books


async def open_account(
    pool: Pool, ledger: Ledger, account: UUID, *, bonus: WelcomeBonus | None, now: datetime
) -> Balance:
    """Open the account and grant its welcome bonus; a second time changes nothing."""
    async with pool.transaction() as conn:
        await books.open_accounts(conn, [account], now)
        if bonus is not None:
            grant = _welcome(account, bonus)
            at, (result,) = await ledger.apply(conn, [grant])
            if result.outcome == "accepted":
                await outbox.append(conn, granted(grant, result, at), at=at)
        return await _balance(conn, ledger, account)


def _welcome(account: UUID, bonus: WelcomeBonus) -> Grant:
    return Grant(
        account=account,
        key=key_of("welcome", account.hex),
        fingerprint=key_of(str(bonus.credits)),
        amount=bonus.credits,
        cause=Cause("bonus", "welcome", ids.show("account", account), "Welcome bonus"),
        lot=ids.new_id(),
        kind=bonus.kind,
    )


def granted(grant: Grant, result: Result, at: datetime) -> CreditsGranted:
    """Tell of a grant."""
    return CreditsGranted(
        account=grant.account,
        sequence=result.sequence,
        occurred_at=at,
        lot=grant.lot,
        kind=grant.kind,
        credits=grant.amount,
        reason=grant.cause.reference_type or "",
        reference=grant.cause.reference_id or "",
        available=max(result.available, 0),
    )


async def balance(pool: Pool, ledger: Ledger, clock: Clock, account: UUID) -> Balance:
    """Read a balance, once what is due has been posted. Raises UnknownAccountError."""
    await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn:
        return await _balance(conn, ledger, account)


async def _balance(conn: Connection, ledger: Ledger, account: UUID) -> Balance:
    found = await accounts.balance(conn, account, ledger.rules)
    if found is None:
        raise UnknownAccountError
    return found
