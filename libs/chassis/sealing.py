"""Seals: a text that one service hands to another through outbox and broker, and that nobody else may read there.

JWE with a key made of a secret that both have (A256GCM, "dir"; RFC 7516). Several secrets while one is rotated: the
first seals, any opens.
"""

import hashlib
from collections.abc import Sequence

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

DEVELOPMENT_SECRET = "for-development-alone-and-known-to-everybody"  # noqa: S105 - as it says
_SHORTEST = 16
_HEADER = {"alg": "dir", "enc": "A256GCM"}


class BrokenSealError(Exception):
    """No secret that is set opens this; whoever sealed it has another."""


class Seal:
    """Seals texts and opens them again."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [OctKey.import_key(hashlib.sha256(secret.encode()).digest()) for secret in secrets]

    def close(self, text: str) -> str:
        """Seal a text."""
        return jwe.encrypt_compact(_HEADER, text.encode(), self._keys[0])

    def open(self, sealed: str) -> str:
        """Read what was sealed. Raises BrokenSealError."""
        for key in self._keys:
            try:
                return (jwe.decrypt_compact(sealed, key).plaintext or b"").decode()
            except (JoseError, ValueError):
                continue
        raise BrokenSealError


def read_secrets(text: str) -> list[str]:
    """Read secrets that are written with commas. Raises ValueError unless each could be one."""
    secrets = [part.strip() for part in text.split(",") if part.strip()]
    if not secrets or min(map(len, secrets)) < _SHORTEST:
        raise ValueError(f"a secret has at least {_SHORTEST} characters")
    return secrets
