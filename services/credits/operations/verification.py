"""Verification: the chain is hashed again, block by block, beside the journal it seals and the exported heads.

What the sums, lots and balances must be is said by `sql/invariants.sql`. Here is proven that the journal is the one
that was written, and where it is not.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from libs.chassis.invariants import Slice, slices
from libs.chassis.pool import Connection
from libs.contracts import ids
from services.credits.domain.sealing import MARK_BYTES, NOTHING, Block, Head, SealedBatch
from services.credits.store import sealing as store
from services.credits.store.sealing import Batch

CHAIN = "I5 the blocks follow each other without a gap, each sealed over the one before"
BATCHES = "I5 every batch up to the last block's end is in a block, and every batch of a block is there"
ENTRIES = "I5 every sealed batch has the very entries that were sealed"
HEADS = "I5 the blocks are those whose heads were exported, and none is missing"

_SLICE_BYTES = 64 * 1024 * 1024
_MOST_SLICES = 256


@dataclass
class Findings:
    """The first breach of each sentence, in words that say where."""

    first: dict[str, str] = field(default_factory=dict)

    def note(self, sentence: str, breach: str) -> None:
        """Keep a breach if it is its sentence's first."""
        self.first.setdefault(sentence, breach)


async def account_slices(conn: Connection) -> list[Slice]:
    """Cut the accounts' ids so that each slice's journal has some tens of megabytes."""
    count = min(max(await store.journal_bytes(conn) // _SLICE_BYTES, 1), _MOST_SLICES)
    return slices(await store.account_edges(conn, count))


async def count_blocks(conn: Connection) -> int:
    """Tell how many steps `verify_chain` takes."""
    return await store.count_blocks(conn)


async def verify_chain(
    conn: Connection, exported: Iterable[Head] | None, *, step: Callable[[], None] = lambda: None
) -> Findings:
    """Hash all sealed entries again; `exported` are the heads kept elsewhere, if any. `step` is called for each block.

    Raises ValueError if the exported heads cannot be read.
    """
    findings = Findings()
    told = _Exported(exported, findings)  # begins to read before the snapshot, which so has what they tell of
    before, covered = NOTHING, 0
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        async for block in store.blocks(conn):
            _check_link(findings, before, block)
            await _check_batches(conn, findings, block, above=covered)
            told.compare(block.head)
            before, covered = block.head, block.last_batch
            step()
    told.finish(before)
    return findings


def _check_link(findings: Findings, before: Head, block: Block) -> None:
    if block.number != before.number + 1:
        findings.note(CHAIN, f"block {before.number + 1}: it is missing; the next one is block {block.number}")
    elif block.hash != block.hash_after(before.hash):
        findings.note(CHAIN, f"block {block.number}: it, or block {before.number}, is not as it was sealed")


async def _check_batches(conn: Connection, findings: Findings, block: Block, *, above: int) -> None:
    there = {batch.id: batch for batch in await store.batches(conn, above=above, upto=block.last_batch, limit=None)}
    sealed = {batch.id: batch for batch in block.batches}
    for id in sorted(there.keys() ^ sealed.keys()):
        how = "it was not there" if id in there else "it is not there any more, which was"
        findings.note(BATCHES, f"block {block.number}, batch {id}: {how} when the block was sealed")
    common = [there[id] for id in sorted(there.keys() & sealed.keys())]
    if not common:
        return
    for now, batch in zip(await store.hash_batches(conn, common), common, strict=True):
        if now.hash != sealed[batch.id].hash and ENTRIES not in findings.first:
            where = await _locate(conn, batch, sealed[batch.id])
            findings.note(ENTRIES, f"block {block.number}, batch {batch.id}, {where}")


async def _locate(conn: Connection, batch: Batch, sealed: SealedBatch) -> str:
    """Say which entry of a batch is the first that is not as it was sealed."""
    entries = await store.marks(conn, batch)
    for entry, mark in zip_longest(entries, _marks(sealed)):
        if entry is None:
            return f"after its last entry: one was removed; {len(entries)} of {sealed.entries} are left"
        if entry.mark != mark:
            where = f"account {ids.show('account', entry.account)}, sequence {entry.sequence}, leg {entry.leg}"
            return f"{where}: {_what_happened(len(entries), sealed.entries)}"
    return "one of its entries was changed"


def _what_happened(now: int, sealed: int) -> str:
    if now == sealed:
        return "this entry is not the one that was sealed"
    if now > sealed:
        return f"this entry was not there when the block was sealed; it has {now} entries, and had {sealed}"
    return f"an entry before this one was removed; {now} of {sealed} are left"


def _marks(sealed: SealedBatch) -> Iterator[bytes]:
    for start in range(0, len(sealed.marks), MARK_BYTES):
        yield sealed.marks[start : start + MARK_BYTES]


class _Exported:
    """The exported heads, walked along beside the blocks."""

    def __init__(self, heads: Iterable[Head] | None, findings: Findings) -> None:
        self._heads = iter(heads or ())
        self._findings = findings
        self._next = next(self._heads, None)

    def compare(self, head: Head) -> None:
        """Compare a block with what was exported of it; blocks between two heads of the file were never exported."""
        while self._next is not None and self._next.number <= head.number:
            if self._next.number < head.number:
                self._findings.note(HEADS, f"block {self._next.number}: its head was exported, and it is not there")
            elif self._next != head:
                self._findings.note(HEADS, f"block {head.number}: it is not the one whose head was exported")
            self._next = next(self._heads, None)

    def finish(self, last: Head) -> None:
        """Find heads of blocks beyond the last."""
        if self._next is not None:
            self._findings.note(
                HEADS, f"block {self._next.number}: its head was exported, and the chain ends at block {last.number}"
            )
