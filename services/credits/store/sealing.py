"""Blocks, and what they seal."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from services.credits.domain.sealing import MARK_BYTES, NOTHING, Block, Head, SealedBatch

LOCK = 0x5C21B003
"""Whoever seals has it."""
_EMPTY = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""SHA-256 of nothing: the hash of a batch without entries."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The newest batch at a moment, and the oldest transaction that was at work then."""

    last_batch: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's row."""

    id: int
    entries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """Which entry it is, by its place among its batch's, and the first bytes of its hash."""

    account: UUID
    sequence: int
    leg: int
    mark: bytes


async def moment(conn: Connection) -> Moment:
    """Look at the newest batch and at the transactions at work, in one snapshot."""
    row = await conn.fetchrow(
        """SELECT coalesce(max(id), 0) AS last_batch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest
             FROM batch"""
    )
    assert row is not None  # noqa: S101 - an aggregate without groups has a row
    return Moment(*row)


async def next_transaction(conn: Connection) -> int:
    """Draw a transaction's id: those of all that are at work are below it. A snapshot's `xmax` may be one of theirs."""
    return int(await conn.fetchval("SELECT pg_current_xact_id()::text::bigint"))


async def summarise_newest(conn: Connection, at: datetime) -> None:
    """Let the journal's newest entries be found by their batch."""
    await conn.execute("SELECT summarise_newest_entries($1)", at)


async def last_block(conn: Connection) -> tuple[Head, int]:
    """Read the newest block's head, and the last batch that it covers."""
    row = await conn.fetchrow(
        "SELECT number, hash, entries, sealed_at, last_batch FROM block ORDER BY number DESC LIMIT 1"
    )
    return (Head(*row[:4]), row[4]) if row is not None else (NOTHING, 0)


async def batches(conn: Connection, *, above: int, upto: int, limit: int | None) -> list[Batch]:
    """Read batches by their ids, the first ones."""
    rows = await conn.fetch(
        "SELECT id, entries, at FROM batch WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3", above, upto, limit
    )
    return [Batch(*row) for row in rows]


async def hash_batches(conn: Connection, found: Sequence[Batch]) -> list[SealedBatch]:
    """Hash the entries of batches, whose ids lie close together: over their own hashes, by account, sequence, leg."""
    rows = await conn.fetch(
        """SELECT batch_id, sha256(string_agg(hash, '')) AS hash, string_agg(substr(hash, 1, $5), '') AS marks
             FROM (SELECT batch_id, hash FROM entry_hash WHERE batch_id BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
                    ORDER BY batch_id, account_id, sequence, leg) AS hashed
            GROUP BY batch_id""",
        min(batch.id for batch in found),
        max(batch.id for batch in found),
        min(batch.at for batch in found),
        max(batch.at for batch in found),
        MARK_BYTES,
    )
    hashed = {row["batch_id"]: SealedBatch(*row) for row in rows}
    return [hashed.get(batch.id, SealedBatch(batch.id, _EMPTY, b"")) for batch in found]


async def marks(conn: Connection, batch: Batch) -> list[Mark]:
    """Read the marks of a batch's entries, in the order in which they are sealed."""
    rows = await conn.fetch(
        """SELECT account_id, sequence, leg, substr(hash, 1, $3) AS mark FROM entry_hash
            WHERE batch_id = $1 AND at = $2 ORDER BY account_id, sequence, leg""",
        batch.id,
        batch.at,
        MARK_BYTES,
    )
    return [Mark(*row) for row in rows]


async def add_block(conn: Connection, block: Block) -> None:
    """Add a block to the chain."""
    await conn.execute(
        """INSERT INTO block (number, last_batch, batches, hashes, marks, entries, hash, sealed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        block.number,
        block.last_batch,
        [batch.id for batch in block.batches],
        [batch.hash for batch in block.batches],
        [batch.marks for batch in block.batches],
        block.entries,
        block.hash,
        block.sealed_at,
    )


async def heads(conn: Connection, *, above: int, limit: int) -> list[Head]:
    """Read the heads of blocks, the oldest first."""
    rows = await conn.fetch(
        "SELECT number, hash, entries, sealed_at FROM block WHERE number > $1 ORDER BY number LIMIT $2", above, limit
    )
    return [Head(*row) for row in rows]


async def journal_bytes(conn: Connection) -> int:
    """Tell how large the journal is, without its indexes."""
    return int(await conn.fetchval("SELECT sum(pg_relation_size(relid))::bigint FROM pg_partition_tree('entry')"))


async def account_edges(conn: Connection, count: int) -> list[UUID]:
    """Name the accounts that cut all accounts, by their ids, into so many parts of one size."""
    rows = await conn.fetch(
        """SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS accounts
                             FROM account) AS counted
            WHERE number % greatest(accounts / $1, 1) = 0 AND number < accounts ORDER BY id LIMIT $1 - 1""",
        count,
    )
    return [row["id"] for row in rows]


async def count_blocks(conn: Connection) -> int:
    """Count the blocks."""
    return int(await conn.fetchval("SELECT count(*) FROM block"))


async def blocks(conn: Connection) -> AsyncIterator[Block]:
    """Read all blocks in their order, a few at a time; needs a transaction."""
    async for row in conn.cursor(
        "SELECT number, last_batch, batches, hashes, marks, hash, sealed_at FROM block ORDER BY number", prefetch=5
    ):
        yield _block(row)


def _block(row: Record) -> Block:
    sealed = [SealedBatch(*each) for each in zip(row["batches"], row["hashes"], row["marks"], strict=True)]
    return Block(row["number"], row["last_batch"], sealed, row["hash"], row["sealed_at"])
