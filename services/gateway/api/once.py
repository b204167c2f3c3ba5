"""Idempotency keys: taken from whoever calls, handed on to the service that has the effect."""

import re
from typing import Annotated, TypeVar

from fastapi import Header, Response
from pydantic import BaseModel

from libs.chassis.errors import IdempotencyKeyMissingError
from libs.chassis.service_client import Done
from libs.contracts.http.base import IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER

T = TypeVar("T", bound=BaseModel)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

IdempotencyKey = Annotated[
    str | None,
    Header(alias=IDEMPOTENCY_KEY_HEADER, description="1 to 255 printable characters; a retry with it acts once"),
]


def required(key: str | None) -> str:
    """Take a key that there must be. Raises IdempotencyKeyMissingError."""
    if key is None or not _KEY.fullmatch(key):
        raise IdempotencyKeyMissingError
    return key


def answered(done: Done[T], response: Response) -> T:
    """Answer what was done, and say so if it had been done before."""
    if done.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return done.answer
