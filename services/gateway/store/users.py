"""Users and the accounts they act on."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.chassis.pool import Connection
from services.gateway.domain.users import AlreadyRegisteredError


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as we keep him."""

    id: UUID
    account_id: UUID
    email: str
    name: str
    password_hash: str


async def add_account(conn: Connection, account: UUID, *, at: datetime) -> None:
    """Add an account; its ledger is still to be opened."""
    await conn.execute("INSERT INTO account (id, opened_at) VALUES ($1, $2)", account, at)


async def add_user(conn: Connection, user: StoredUser, *, at: datetime) -> None:
    """Add a user. Raises AlreadyRegisteredError if the e-mail address is taken, also by a concurrent sign-up."""
    try:
        await conn.execute(
            """INSERT INTO app_user (id, account_id, email, name, password_hash, registered_at)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            user.id,
            user.account_id,
            user.email,
            user.name,
            user.password_hash,
            at,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "an_email_registers_once":
            raise AlreadyRegisteredError from error
        raise


async def find_by_email(conn: Connection, email: str) -> StoredUser | None:
    """Find who signed up with an e-mail address (in lower case)."""
    row = await conn.fetchrow("SELECT id, account_id, email, name, password_hash FROM app_user WHERE email = $1", email)
    return StoredUser(**row) if row else None


async def find(conn: Connection, user: UUID) -> StoredUser | None:
    """Find a user by his id."""
    row = await conn.fetchrow("SELECT id, account_id, email, name, password_hash FROM app_user WHERE id = $1", user)
    return StoredUser(**row) if row else None


async def ledger_is_open(conn: Connection, account: UUID, *, at: datetime) -> None:
    """Note that credits has opened the account's ledger; the first time counts."""
    await conn.execute(
        "UPDATE account SET ledger_opened_at = $2 WHERE id = $1 AND ledger_opened_at IS NULL", account, at
    )


async def without_ledger(conn: Connection, *, opened_before: datetime, limit: int) -> list[UUID]:
    """Name the oldest accounts whose ledger is still to be opened."""
    rows = await conn.fetch(
        "SELECT id FROM account WHERE ledger_opened_at IS NULL AND opened_at < $1 ORDER BY opened_at LIMIT $2",
        opened_before,
        limit,
    )
    return [row["id"] for row in rows]
