"""A record as a consumer sees it."""

import hashlib
from dataclasses import dataclass
from typing import Any

LONGEST_KEY = 255
"""In characters. Longer ones are cut, and then count as the same: no key of ours is near, and indexes have bounds."""


def storable(text: str, *, longest: int = 10_000) -> str:
    """Make a text such that PostgreSQL takes it: no NUL, no half characters, not endless."""
    return text[:longest].encode(errors="replace").decode().replace("\x00", "")


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic, not yet decoded."""

    topic: str
    partition: int
    offset: int
    key: str
    payload: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, raw: Any) -> "Record":
        """Take aiokafka's record, made storable: what is missing is empty, and a key has a bounded length."""
        headers = {storable(name): storable((value or b"").decode(errors="replace")) for name, value in raw.headers}
        key = storable((raw.key or b"").decode(errors="replace"), longest=LONGEST_KEY)
        return cls(raw.topic, raw.partition, raw.offset, key, raw.value or b"", headers)

    @property
    def origin(self) -> str:
        """Tell where the record came from; with its content, since a broker that began anew repeats its offsets."""
        return f"{self.topic}/{self.partition}/{self.offset}#{hashlib.sha256(self.payload).hexdigest()[:16]}"
