"""Answers that are stored under the caller's idempotency key, and given again to whoever asks again."""

from dataclasses import dataclass
from typing import Any

from libs.chassis import idempotency
from libs.chassis.errors import DomainError, RemoteError
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Connection
from libs.contracts.errors import CODES
from libs.contracts.http.base import Answer


@dataclass(frozen=True, slots=True)
class Answered:
    """A stored answer; `replayed` if it had been given before."""

    body: dict[str, Any]
    replayed: bool


async def store(conn: Connection, key: Key, answer: Answer | DomainError) -> Claim:
    """Store a definite answer, good or bad; gives the one that stands."""
    if isinstance(answer, DomainError):
        body = {"code": answer.code.code, "detail": answer.detail, "facts": answer.facts}
        return await idempotency.answer(conn, key, status=answer.code.status, body=body)
    return await idempotency.answer(conn, key, status=201, body=answer.model_dump(mode="json"))


def give(claim: Claim, *, replayed: bool) -> Answered:
    """Give a stored answer. Raises the problem again if that was the answer."""
    if claim.status is not None and claim.status >= 400:
        raise RemoteError(CODES[claim.body["code"]], claim.body["detail"], **claim.body["facts"])
    return Answered(claim.body, replayed)
