"""The chain of blocks: each seals some batches of the journal, and the block before it.

Whoever changes what is sealed, or a block, would have to change every later block as well, and every head that was
exported since.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MARK_BYTES = 2
"""How much of an entry's own hash is kept: enough to find the one that changed in a batch that did."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch as it was when it was sealed: the hash over its entries, and the first bytes of each one's own."""

    id: int
    hash: bytes
    marks: bytes

    @property
    def entries(self) -> int:
        """How many entries it has."""
        return len(self.marks) // MARK_BYTES


@dataclass(frozen=True, slots=True)
class Head:
    """What is told outside of the database of a block: with it nobody can cut off or rewrite the chain unseen."""

    number: int
    hash: bytes
    entries: int
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """Batches above those of the block before, up to `last_batch`, in the order of their ids."""

    number: int
    last_batch: int
    batches: Sequence[SealedBatch]
    hash: bytes
    sealed_at: datetime

    @property
    def entries(self) -> int:
        """How many entries it seals."""
        return sum(batch.entries for batch in self.batches)

    @property
    def head(self) -> Head:
        """What is exported of it."""
        return Head(self.number, self.hash, self.entries, self.sealed_at)

    def hash_after(self, previous: bytes) -> bytes:
        """Tell what its hash must be if the block before has this one."""
        return chained(previous, self.number, self.last_batch, self.batches, self.sealed_at)


NOTHING = Head(0, bytes(32), 0, _EPOCH)
"""What the first block follows."""


def seal(before: Head, last_batch: int, batches: Sequence[SealedBatch], *, at: datetime) -> Block:
    """Make the next block."""
    number = before.number + 1
    return Block(number, last_batch, batches, chained(before.hash, number, last_batch, batches, at), at)


def chained(previous: bytes, number: int, last_batch: int, batches: Sequence[SealedBatch], at: datetime) -> bytes:
    """Hash a block over the one before: SHA-256 of fixed-width parts, integers of eight bytes, big end first."""
    digest = hashlib.sha256(previous)
    for part in (number, last_batch, (at - _EPOCH) // timedelta(microseconds=1)):
        digest.update(part.to_bytes(8))
    for batch in batches:
        digest.update(batch.id.to_bytes(8))
        digest.update(batch.hash)
    return digest.digest()
