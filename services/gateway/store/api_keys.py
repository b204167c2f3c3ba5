"""API keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.http.gateway_v1 import Scope


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as we keep it: what it may do, and the hash of its secret."""

    id: UUID
    account_id: UUID
    name: str
    scopes: list[Scope]
    secret_hash: bytes
    created_at: datetime
    last_used_at: datetime | None = None


async def add(conn: Connection, key: StoredKey) -> None:
    """Add a key."""
    await conn.execute(
        """INSERT INTO api_key (id, account_id, name, scopes, secret_hash, created_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        key.id,
        key.account_id,
        key.name,
        key.scopes,
        key.secret_hash,
        key.created_at,
    )


async def find(conn: Connection, key: UUID) -> StoredKey | None:
    """Find a key that was not revoked."""
    row = await conn.fetchrow(
        """SELECT id, account_id, name, scopes, secret_hash, created_at, last_used_at
             FROM api_key WHERE id = $1 AND revoked_at IS NULL""",
        key,
    )
    return StoredKey(**row) if row else None


async def of_account(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[StoredKey]:
    """List an account's keys, newest first, that are older than one of them."""
    rows = await conn.fetch(
        """SELECT id, account_id, name, scopes, secret_hash, created_at, last_used_at FROM api_key
            WHERE account_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3""",
        account,
        before,
        limit,
    )
    return [StoredKey(**row) for row in rows]


async def revoke(conn: Connection, key: UUID, *, account: UUID, at: datetime) -> bool:
    """Revoke an account's key; False if the account has no such key, or had it revoked before."""
    return (
        await conn.fetchval(
            """UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL
               RETURNING true""",
            key,
            account,
            at,
        )
        is True
    )


async def note_uses(conn: Connection, uses: Mapping[UUID, datetime]) -> None:
    """Note when keys were last used. Locks in id order, since other processes do the same."""
    keys: Sequence[UUID] = sorted(uses)
    await conn.execute(
        """WITH used AS (
               SELECT k.id, u.at FROM api_key k JOIN unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) USING (id)
                ORDER BY k.id FOR NO KEY UPDATE OF k
           )
           UPDATE api_key SET last_used_at = greatest(last_used_at, used.at) FROM used WHERE api_key.id = used.id""",
        keys,
        [uses[key] for key in keys],
    )
