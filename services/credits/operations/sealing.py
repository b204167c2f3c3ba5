"""Sealing: what has been written to the journal is chained by hash, block after block, behind the batches.

A block covers all batches up to an id, so no lower id may follow it. A batch's transaction has its id before the batch
has its own. So once every transaction has ended that had an id when a batch was the newest one, all ids up to that one
are what they will ever be.
"""

from collections.abc import Iterator, Sequence

from libs.chassis import failpoints
from libs.chassis.clock import Clock
from libs.chassis.leading import leading
from libs.chassis.pacing import paced
from libs.chassis.pool import Pool
from services.credits.clients import HeadFile
from services.credits.domain.sealing import SealedBatch, seal
from services.credits.store import sealing as store
from services.credits.store.sealing import Batch

_ENTRIES_A_BLOCK = 10_000
"""So that a block's entries are sorted in memory."""
_ENTRIES_AT_ONCE = 2_000
_PAUSES = 1
"""Times as long as hashing those took."""
_BATCHES_A_BLOCK = 5_000
_BLOCKS_A_PASS = 10
_HEADS_A_PASS = 1_000


class Sealer:
    """Seals batches that can have no predecessor any more. One at a time, whichever worker comes first."""

    def __init__(self, pool: Pool, clock: Clock, heads: HeadFile | None) -> None:
        self._pool = pool
        self._clock = clock
        self._heads = heads
        self._seen: tuple[int, int] | None = None  # the newest batch once, and a transaction younger than any then
        self._settled = 0

    async def seal(self) -> int:
        """Seal some of what is settled, and export the heads; returns how many entries that was."""
        sealed = 0
        if await self._settle():
            for _ in range(_BLOCKS_A_PASS):
                if not (entries := await self._seal_block()):
                    break
                sealed += entries
        if self._heads is not None:
            await self._export(self._heads)
        return sealed

    async def _settle(self) -> bool:
        """Find up to which batch no other can come; tells whether there may be something to seal."""
        async with self._pool.connection() as conn:
            now = await store.moment(conn)
            _, done = await store.last_block(conn)
            if self._seen is not None and now.oldest >= self._seen[1]:
                self._settled, self._seen = self._seen[0], None
            if self._seen is None and now.last_batch > self._settled:
                self._seen = now.last_batch, await store.next_transaction(conn)
            if self._settled <= done:
                return False
            await store.summarise_newest(conn, self._clock.now())
        return True

    async def _seal_block(self) -> int:
        """Seal the next block; 0 if there is none, or another worker seals. Its batches are what they will ever be."""
        async with self._pool.connection() as conn, leading(conn, store.LOCK) as leads:
            if not leads:
                return 0
            before, done = await store.last_block(conn)
            batches = await store.batches(conn, above=done, upto=self._settled, limit=_BATCHES_A_BLOCK)
            if not batches:
                return 0
            found = next(_pieces(batches, most=_ENTRIES_A_BLOCK))
            hashed: list[SealedBatch] = []
            async for some in paced(_pieces(found, most=_ENTRIES_AT_ONCE), pauses=_PAUSES):
                hashed += await store.hash_batches(conn, some)
            block = seal(before, found[-1].id, hashed, at=self._clock.now())
            async with conn.transaction():
                await store.add_block(conn, block)
                failpoints.reach("credits.seal.before_commit")
        failpoints.reach("credits.seal.after_commit")
        return block.entries

    async def _export(self, heads: HeadFile) -> None:
        last = await heads.last()
        async with self._pool.connection() as conn:
            found = await store.heads(conn, above=last, limit=_HEADS_A_PASS)
        if found:
            await heads.add(found)


def _pieces(batches: Sequence[Batch], *, most: int) -> Iterator[list[Batch]]:
    """Divide batches into pieces of so many entries; one that has more is a piece of its own."""
    piece: list[Batch] = []
    entries = 0
    for batch in batches:
        if piece and entries + batch.entries > most:
            yield piece
            piece, entries = [], 0
        piece.append(batch)
        entries += batch.entries
    if piece:
        yield piece
