"""Refresh tokens: 256 random bits, kept as their SHA-256 (nobody can guess them, so nothing slower is needed)."""

import hashlib
import secrets
from datetime import timedelta

from libs.chassis.errors import NotAuthenticatedError

LIFE = timedelta(days=30)
"""A session that is not refreshed for this long has ended."""


class RefreshTokenRefusedError(NotAuthenticatedError):
    """This refresh token is unknown, has ended or was used before; log in again."""


def new_token() -> str:
    """Draw a token."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """Tell what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()
