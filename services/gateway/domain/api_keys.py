"""API keys: `scrip_sk_<id>_<secret>`. The id says which key it is, the secret's SHA-256 alone is kept.

The id part is the key's own id (32 hexadecimal digits), the secret is 256 random bits: nothing slower than SHA-256 is
needed to guard it.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

MARK = "scrip_sk_"
_SHAPE = re.compile(rf"{MARK}([0-9a-f]{{32}})_([A-Za-z0-9_-]{{43}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A key as a caller shows it, and nothing checked but its shape."""

    id: UUID
    secret: str

    @classmethod
    def parse(cls, text: str) -> "PresentedKey | None":
        """Take a key apart; None if it has not the shape of one."""
        found = _SHAPE.fullmatch(text)
        return cls(UUID(hex=found[1]), found[2]) if found else None

    def opens(self, secret_hash: bytes) -> bool:
        """Tell whether the secret is the one that was kept, in a time that says nothing about it."""
        return compare_digest(hash_of(self.secret), secret_hash)


def new_secret() -> str:
    """Draw a secret: 43 characters."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> bytes:
    """Tell what is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def prefix(key: UUID) -> str:
    """Tell the part of a key that may be shown again."""
    return f"{MARK}{key.hex}"
