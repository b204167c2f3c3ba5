"""Idempotency keys of callers: the request's fingerprint and the answer are stored where the effect is, with it.

Definite answers replay, a 402 too; 5xx and 429 are never stored. Another request under the same key is refused. Of
concurrent twins one acts: the other waits for its commit and gets the same answer.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from libs.chassis.errors import IdempotencyKeyReusedError
from libs.chassis.pool import Connection
from libs.chassis.telemetry import IDEMPOTENT_REPLAYS


@dataclass(frozen=True, slots=True)
class Key:
    """Whose key it is, the key, and what the request asked for."""

    caller: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, *, caller: str, key: str, operation: str, body: Any) -> "Key":
        """Take the fingerprint of an operation and its JSON-like body."""
        written = orjson.dumps([operation, body], option=orjson.OPT_SORT_KEYS)
        return cls(caller, key, hashlib.sha256(written).digest())


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a key: `fresh` if we are the first; else what it acts on and, once there is one, the answer."""

    fresh: bool
    subject: UUID | None
    status: int | None = None
    body: Any = None

    @property
    def answered(self) -> bool:
        """Tell whether the answer is known and can be replayed."""
        return self.status is not None


async def claim(conn: Connection, key: Key, *, subject: UUID | None, at: datetime) -> Claim:
    """Take the key for a request that acts on `subject` (an id made for it), or find what was done under it.

    Raises IdempotencyKeyReusedError if the key was taken for another request.
    """
    taken = await conn.fetchval(
        """INSERT INTO idempotency_key (caller, key, fingerprint, subject, claimed_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING RETURNING true""",
        key.caller,
        key.key,
        key.fingerprint,
        subject,
        at,
    )
    if taken:
        return Claim(fresh=True, subject=subject)
    row = await conn.fetchrow(
        "SELECT fingerprint, subject, status, body FROM idempotency_key WHERE caller = $1 AND key = $2",
        key.caller,
        key.key,
    )
    if row is None or row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReusedError
    if row["status"] is not None:
        IDEMPOTENT_REPLAYS.inc()
    return Claim(fresh=False, subject=row["subject"], status=row["status"], body=row["body"])


async def answer(conn: Connection, key: Key, *, status: int, body: Any) -> Claim:
    """Store the definite answer, in the transaction of the effect; gives the one that stands: the first stays."""
    row = await conn.fetchrow(
        """UPDATE idempotency_key SET status = coalesce(status, $3), body = coalesce(body, $4)
            WHERE caller = $1 AND key = $2 RETURNING subject, status, body""",
        key.caller,
        key.key,
        status,
        body,
    )
    if row is None:  # pruned meanwhile: nobody can ask for it again
        return Claim(fresh=False, subject=None, status=status, body=body)
    return Claim(fresh=False, subject=row["subject"], status=row["status"], body=row["body"])


async def prune(conn: Connection, *, now: datetime, keep: timedelta = timedelta(days=7)) -> int:
    """Forget keys older than we promise to remember; returns how many that was."""
    tag = await conn.execute("DELETE FROM idempotency_key WHERE claimed_at < $1", now - keep)
    return int(tag.split()[-1])
