"""Ledger accounts: opened in credits right after sign-up, or by a job that repeats it until credits has answered."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis.errors import DomainError, UnavailableError
from libs.chassis.pool import TRANSIENT, Pool
from libs.chassis.telemetry import log
from libs.contracts.http.credits_v1 import Balance
from services.gateway.clients.credits import CreditsClient
from services.gateway.store import users

_PATIENCE_SECONDS = 3.0
_SIGN_UP_TAKES = timedelta(seconds=5)
_ACCOUNTS_A_PASS = 50


async def try_to_open(pool: Pool, credits: CreditsClient, account: UUID, *, now: datetime) -> Balance | None:
    """Open an account's ledger, with its welcome bonus; None if credits cannot do it soon."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await open_ledger(pool, credits, account, now=now)
    except (DomainError, *TRANSIENT) as error:
        log.warning("ledger_accounts.opened_later", error=repr(error))
        return None


async def try_to_read(credits: CreditsClient, account: UUID) -> Balance | None:
    """Read a balance; None if credits cannot tell it soon, or has not opened the account yet."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await credits.balance(account)
    except (DomainError, TimeoutError) as error:
        log.warning("ledger_accounts.balance_unknown", error=repr(error))
        return None


async def open_ledger(pool: Pool, credits: CreditsClient, account: UUID, *, now: datetime) -> Balance:
    """Open an account's ledger and note that it is open; safe to repeat. Raises RemoteError, UnavailableError."""
    balance = await credits.open_account(account)
    async with pool.transaction() as conn:
        await users.ledger_is_open(conn, account, at=now)
    return balance


async def open_missing(pool: Pool, credits: CreditsClient, *, now: datetime) -> int:
    """Open the oldest ledgers that a sign-up could not open; returns how many. Ends when credits does not answer."""
    async with pool.connection() as conn:
        waiting = await users.without_ledger(conn, opened_before=now - _SIGN_UP_TAKES, limit=_ACCOUNTS_A_PASS)
    opened = 0
    for account in waiting:
        try:
            await open_ledger(pool, credits, account, now=now)
        except UnavailableError:
            break
        except DomainError as error:
            log.error("ledger_accounts.refused", account=str(account), error=repr(error))
        else:
            opened += 1
    return opened
