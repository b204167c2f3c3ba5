"""Idempotency keys of callers: the request's fingerprint and the answer are stored where the effect is, with it.

Definite answers replay, a 402 too; 5xx and 429 are never stored. Another request under the same key is refused. Of
concurrent twins one acts: the other waits for its commit and gets the same answer.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
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

    @property
    def name(self) -> tuple[str, str]:
        """Tell it from other keys."""
        return self.caller, self.key


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


class Answer(NamedTuple):
    """A definite answer, good or bad, whose body is written already (JSON); of a refusal code, detail and facts."""

    status: int
    body: bytes
    replayed: bool = False


class Given(NamedTuple):
    """What is stored under a key: the fingerprint of its request, and the answer, if there is one yet."""

    fingerprint: bytes
    answer: Answer | None


async def given(conn: Connection, keys: Sequence[Key]) -> dict[tuple[str, str], Given]:
    """Find what is stored under many keys, each by a probe of its own: a plan made while there were few would scan."""
    rows = await conn.fetch(
        """SELECT k.caller, k.key, k.fingerprint, k.status, k.body::text
             FROM unnest($1::text[], $2::text[]) AS asked (caller, key)
            CROSS JOIN LATERAL (
                SELECT * FROM idempotency_key AS found
                 WHERE found.caller = asked.caller AND found.key = asked.key LIMIT 1
            ) AS k""",
        [key.caller for key in keys],
        [key.key for key in keys],
    )
    return {
        (caller, key): Given(fingerprint, None if status is None else Answer(status, body.encode(), replayed=True))
        for caller, key, fingerprint, status, body in rows
    }


async def give(conn: Connection, answers: Iterable[tuple[Key, Answer]], *, at: datetime) -> bool:
    """Store many answers at once, in the transaction of their effects; False if a twin was faster for one of them.

    Then the transaction has to be rolled back. In the keys' order, so that two who meet do not wait for each other.
    """
    written = sorted((key.caller, key.key, key.fingerprint, *answer[:2]) for key, answer in answers)
    callers, keys, fingerprints, statuses, bodies = zip(*written, strict=True) if written else ((),) * 5
    rows = await conn.fetch(
        """INSERT INTO idempotency_key (caller, key, fingerprint, status, body, claimed_at)
           SELECT a.caller, a.key, a.fingerprint, a.status, a.body::json, $6
             FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::text[])
                  AS a (caller, key, fingerprint, status, body)
           ON CONFLICT DO NOTHING RETURNING 1""",
        callers,
        keys,
        fingerprints,
        statuses,
        [body.decode() for body in bodies],
        at,
    )
    return len(rows) == len(written)


async def prune(conn: Connection, *, now: datetime, keep: timedelta = timedelta(days=7)) -> int:
    """Forget keys older than we promise to remember; returns how many that was."""
    tag = await conn.execute("DELETE FROM idempotency_key WHERE claimed_at < $1", now - keep)
    return int(tag.split()[-1])
