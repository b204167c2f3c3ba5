"""A record as a consumer sees it."""

import hashlib
from dataclasses import dataclass
from typing import Any


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
        """Take aiokafka's record; a missing key or value is an empty one."""
        headers = {name: value.decode(errors="replace") for name, value in raw.headers}
        key = (raw.key or b"").decode(errors="replace").replace("\x00", "")
        return cls(raw.topic, raw.partition, raw.offset, key, raw.value or b"", headers)

    @property
    def origin(self) -> str:
        """Tell where the record came from; with its content, since a broker that began anew repeats its offsets."""
        return f"{self.topic}/{self.partition}/{self.offset}#{hashlib.sha256(self.payload).hexdigest()[:16]}"
