"""Sessions, and the refresh tokens by which they go on."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection


async def begin(conn: Connection, session: UUID, *, user: UUID, at: datetime, expires_at: datetime) -> None:
    """Begin a session."""
    await conn.execute(
        "INSERT INTO session (id, user_id, started_at, expires_at) VALUES ($1, $2, $3, $4)",
        session,
        user,
        at,
        expires_at,
    )


async def add_token(conn: Connection, session: UUID, *, token_hash: bytes, at: datetime) -> None:
    """Give the session its next refresh token."""
    await conn.execute(
        "INSERT INTO refresh_token (hash, session_id, issued_at) VALUES ($1, $2, $3)", token_hash, session, at
    )


async def use_token(conn: Connection, token_hash: bytes, *, at: datetime) -> UUID | None:
    """Use a refresh token up; gives its session, or None if the token is unknown or was used before."""
    session: UUID | None = await conn.fetchval(
        "UPDATE refresh_token SET used_at = $2 WHERE hash = $1 AND used_at IS NULL RETURNING session_id", token_hash, at
    )
    return session


async def go_on(conn: Connection, session: UUID, *, at: datetime, expires_at: datetime) -> UUID | None:
    """Let a session live on; gives its user, or None if it has ended."""
    user: UUID | None = await conn.fetchval(
        """UPDATE session SET expires_at = $3 WHERE id = $1 AND ended_at IS NULL AND expires_at > $2
           RETURNING user_id""",
        session,
        at,
        expires_at,
    )
    return user


async def end_by_token(conn: Connection, token_hash: bytes, *, at: datetime) -> bool:
    """End the session that a token, new or used, belongs to; False if there is none that still lives."""
    return (
        await conn.fetchval(
            """UPDATE session SET ended_at = $2
                WHERE id = (SELECT session_id FROM refresh_token WHERE hash = $1) AND ended_at IS NULL
            RETURNING true""",
            token_hash,
            at,
        )
        is True
    )


async def prune(conn: Connection, *, over_before: datetime) -> int:
    """Forget sessions that ended or expired before an instant, with their tokens; returns how many that was."""
    tag = await conn.execute(
        "DELETE FROM session WHERE expires_at < $1 OR (ended_at IS NOT NULL AND ended_at < $1)", over_before
    )
    return int(tag.split()[-1])


async def prune_tokens(conn: Connection, *, issued_before: datetime) -> int:
    """Forget refresh tokens issued before an instant; returns how many that was."""
    tag = await conn.execute("DELETE FROM refresh_token WHERE issued_at < $1", issued_before)
    return int(tag.split()[-1])
