"""What routes under `/internal/v1` share: only services may call, on behalf of a caller, within his deadline."""

import asyncio
from typing import Annotated

from fastapi import Depends, Header, Request

from libs.chassis.callers import check_staff
from libs.chassis.errors import IdempotencyKeyMissingError, NotAuthenticatedError
from libs.chassis.service_client import DEADLINE_HEADER, deadline
from libs.contracts.http.base import CALLER_HEADER, IDEMPOTENCY_KEY_HEADER

LONGEST_KEY = 255


async def calling_service(request: Request) -> str:
    """Name the service that calls, by its token, and note how long it will wait. Raises NotAuthenticatedError."""
    return service_of(request)


def service_of(request: Request) -> str:
    """Do as `calling_service` does."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticatedError
    service: str = request.app.state.verifier.caller(token)
    if (wait := request.headers.get(DEADLINE_HEADER, "")).isascii() and wait.isdigit():
        deadline.set(asyncio.get_running_loop().time() + int(wait[:9]) / 1000)
    return service


async def idempotency_key(
    key: Annotated[str | None, Header(alias=IDEMPOTENCY_KEY_HEADER, max_length=LONGEST_KEY)] = None,
) -> str:
    """Read the key that a state change needs. Raises IdempotencyKeyMissingError."""
    return checked_key(key)


def checked_key(key: str | None) -> str:
    """Do as `idempotency_key` does."""
    if not key or "\x00" in key or len(key) > LONGEST_KEY:
        raise IdempotencyKeyMissingError
    return key


CallingService = Annotated[str, Depends(calling_service)]
IdempotencyKey = Annotated[str, Depends(idempotency_key)]
Caller = Annotated[str, Header(alias=CALLER_HEADER, min_length=1, max_length=255)]
"""On whose behalf, such as `user:usr_...`; idempotency keys are his."""


async def calling_staff(caller: Caller) -> str:
    """Name who of the staff calls. Raises NotAllowedError for anybody else."""
    check_staff(caller)
    return caller
