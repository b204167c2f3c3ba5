"""Sign-up, log-in, and sessions that go on by refresh tokens, each used once.

A refresh token that comes a second time was copied: its whole session ends, for the thief and for the owner.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.chassis import failpoints, outbox
from libs.chassis.errors import NotAuthenticatedError
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events import AccountOpened
from libs.contracts.http.credits_v1 import Balance
from libs.contracts.http.gateway_v1 import Login, Me, Register, Session, User
from services.gateway.clients.credits import CreditsClient
from services.gateway.domain import access_tokens, refresh_tokens
from services.gateway.domain.access_tokens import AccessTokens
from services.gateway.domain.passwords import Passwords
from services.gateway.domain.principals import SignedInUser
from services.gateway.domain.refresh_tokens import RefreshTokenRefusedError
from services.gateway.domain.users import LoginRefusedError
from services.gateway.operations import ledger_accounts
from services.gateway.store import sessions, users
from services.gateway.store.users import StoredUser

_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Identity:
    """What signing people in needs."""

    pool: Pool
    passwords: Passwords
    tokens: AccessTokens
    credits: CreditsClient


async def register(identity: Identity, order: Register, *, now: datetime) -> Session:
    """Sign somebody up, with an account of his own, and open its ledger; the balance is null if that must wait.

    Raises AlreadyRegisteredError.
    """
    password_hash = await identity.passwords.hash(order.password)
    user = StoredUser(ids.new_id(), ids.new_id(), order.email, order.name, password_hash)
    async with identity.pool.transaction() as conn:
        await users.add_account(conn, user.account_id, at=now)
        await users.add_user(conn, user, at=now)
        refresh_token = await _begin_session(conn, user, now)
        await outbox.append(conn, _account_opened(user), at=now)
        failpoints.reach("gateway.register.before_commit")
    failpoints.reach("gateway.register.after_commit")
    balance = await ledger_accounts.try_to_open(identity.pool, identity.credits, user.account_id, now=now)
    return _session(identity, user, refresh_token, balance, now)


async def log_in(identity: Identity, order: Login, *, now: datetime) -> Session:
    """Sign a user in. Raises LoginRefusedError, after the same time whether the e-mail or the password is wrong."""
    async with identity.pool.connection() as conn:
        user = await users.find_by_email(conn, order.email)
    fits = await identity.passwords.fits(order.password, user.password_hash if user else None)
    if user is None or not fits:
        log.info("auth.login_refused")
        raise LoginRefusedError
    async with identity.pool.transaction() as conn:
        refresh_token = await _begin_session(conn, user, now)
    balance = await ledger_accounts.try_to_read(identity.credits, user.account_id)
    return _session(identity, user, refresh_token, balance, now)


async def refresh(identity: Identity, token: str, *, now: datetime) -> Session:
    """Trade a refresh token for new tokens. Raises RefreshTokenRefusedError; a used one ends its session."""
    async with identity.pool.transaction() as conn:
        renewed = await _renew(conn, refresh_tokens.hash_of(token), now)
    if renewed is None:  # told after the commit: that a session has ended must stay so
        raise RefreshTokenRefusedError
    user, refresh_token = renewed
    balance = await ledger_accounts.try_to_read(identity.credits, user.account_id)
    return _session(identity, user, refresh_token, balance, now)


async def log_out(pool: Pool, token: str, *, now: datetime) -> None:
    """End the session of a refresh token; if there is none, nothing is to be done."""
    async with pool.transaction() as conn:
        await sessions.end_by_token(conn, refresh_tokens.hash_of(token), at=now)


async def who_is(identity: Identity, principal: SignedInUser) -> Me:
    """Tell a user who he is, and his balance. Raises NotAuthenticatedError if he is no more."""
    async with identity.pool.connection() as conn:
        user = await users.find(conn, principal.user)
    if user is None:
        raise NotAuthenticatedError
    return Me(user=_shown(user), balance=await ledger_accounts.try_to_read(identity.credits, user.account_id))


async def prune(pool: Pool, *, now: datetime) -> int:
    """Forget sessions that are over for a week, and refresh tokens past their life; returns how many that was."""
    async with pool.transaction() as conn:
        return await sessions.prune(conn, over_before=now - _KEPT) + await sessions.prune_tokens(
            conn, issued_before=now - refresh_tokens.LIFE
        )


async def _begin_session(conn: Connection, user: StoredUser, now: datetime) -> str:
    session, token = ids.new_id(), refresh_tokens.new_token()
    await sessions.begin(conn, session, user=user.id, at=now, expires_at=now + refresh_tokens.LIFE)
    await sessions.add_token(conn, session, token_hash=refresh_tokens.hash_of(token), at=now)
    return token


async def _renew(conn: Connection, token_hash: bytes, now: datetime) -> tuple[StoredUser, str] | None:
    session = await sessions.use_token(conn, token_hash, at=now)
    if session is None:
        if await sessions.end_by_token(conn, token_hash, at=now):
            log.warning("auth.refresh_token_reused")
        return None
    user_id = await sessions.go_on(conn, session, at=now, expires_at=now + refresh_tokens.LIFE)
    user = await users.find(conn, user_id) if user_id else None
    if user is None:
        return None
    token = refresh_tokens.new_token()
    await sessions.add_token(conn, session, token_hash=refresh_tokens.hash_of(token), at=now)
    return user, token


def _account_opened(user: StoredUser) -> AccountOpened:
    return AccountOpened(account=user.account_id, user=user.id, email=user.email, name=user.name)


def _session(
    identity: Identity, user: StoredUser, refresh_token: str, balance: Balance | None, now: datetime
) -> Session:
    return Session(
        access_token=identity.tokens.issue(user=user.id, account=user.account_id, now=now),
        refresh_token=refresh_token,
        expires_in=int(access_tokens.LIFE.total_seconds()),
        user=_shown(user),
        balance=balance,
    )


def _shown(user: StoredUser) -> User:
    return User(id=user.id, account=user.account_id, email=user.email, name=user.name)
