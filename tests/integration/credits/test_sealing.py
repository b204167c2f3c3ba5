"""Sealing: blocks over batches, behind those who still write; heads outside of the database."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from libs.chassis.pool import Pool
from services.credits.clients import HeadFile
from services.credits.operations.sealing import Sealer
from services.credits.operations.verification import verify_chain
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, used

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def heads(tmp_path: Path) -> HeadFile:
    return HeadFile(tmp_path / "audit")


@pytest.fixture
def sealer(credits: Credits, heads: HeadFile) -> Sealer:
    return Sealer(credits.pool, credits.clock, heads)


async def writes(service_pool: ServicePool) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    conn = await asyncpg.connect(service_pool.urls("credits").app_url)
    yield conn
    await conn.close()


writer = pytest.fixture(writes, name="writer")  # a connection of its own, for a transaction that takes its time
another = pytest.fixture(writes, name="another")


async def rows(pool: Pool, sql: str, *args: Any) -> list[asyncpg.Record]:
    async with pool.connection() as conn:
        return await conn.fetch(sql, *args)


async def seal_all(pool: Pool, sealer: Sealer) -> int:
    """Seal until nothing is left. A transaction in any database of the server, be it a vacuum's, may hold it up."""
    entries = 0
    async with asyncio.timeout(30):
        while await _unsealed(pool):
            entries += await sealer.seal()
    return entries


async def _unsealed(pool: Pool) -> int:
    (found,) = await rows(
        pool, "SELECT count(*) AS batches FROM batch WHERE id > (SELECT coalesce(max(last_batch), 0) FROM block)"
    )
    return int(found["batches"])


async def begin_batch(writer: "asyncpg.Connection[asyncpg.Record]", account: UUID) -> int:
    """Write a batch as the ledger does, its account locked first; not committed yet."""
    await writer.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", account)
    return int(await writer.fetchval("INSERT INTO batch (entries, at) VALUES (0, $1) RETURNING id", NOON))


async def breaches(pool: Pool, heads: HeadFile) -> dict[str, str]:
    async with pool.connection() as conn:
        return (await verify_chain(conn, heads.read())).first


async def test_every_entry_is_sealed_once(credits: Credits, sealer: Sealer, heads: HeadFile) -> None:
    account = await credits.open_with("50")
    for _ in range(5):
        await credits.use(*(used(account) for _ in range(4)))
    (written,) = await rows(credits.pool, "SELECT count(*) AS entries FROM entry")
    assert await seal_all(credits.pool, sealer) == written["entries"] == 22
    assert await sealer.seal() == 0
    (sealed,) = await rows(credits.pool, "SELECT array_agg(id ORDER BY id) AS ids FROM block, unnest(batches) AS id")
    (batches,) = await rows(credits.pool, "SELECT array_agg(id ORDER BY id) AS ids FROM batch")
    assert sealed["ids"] == batches["ids"]
    assert await breaches(credits.pool, heads) == {}


async def test_a_batch_that_is_not_committed_holds_up_those_that_follow_it(
    credits: Credits, sealer: Sealer, heads: HeadFile, writer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    account, other = await credits.open(), await credits.open()
    await seal_all(credits.pool, sealer)
    slow = writer.transaction()
    await slow.start()
    held_up = await begin_batch(writer, other)
    await credits.use(used(account))
    assert [await sealer.seal() for _ in range(3)] == [0, 0, 0]
    await slow.commit()
    assert await seal_all(credits.pool, sealer) == 1
    (last,) = await rows(credits.pool, "SELECT batches FROM block ORDER BY number DESC LIMIT 1")
    assert held_up in last["batches"]
    assert await breaches(credits.pool, heads) == {}


async def test_a_batch_whose_transaction_began_after_the_newest_batch_s_holds_it_up_too(
    credits: Credits,
    sealer: Sealer,
    heads: HeadFile,
    writer: "asyncpg.Connection[asyncpg.Record]",
    another: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    account, other = await credits.open(), await credits.open()
    await seal_all(credits.pool, sealer)
    quick, slow = another.transaction(), writer.transaction()
    await quick.start()
    await another.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", account)
    await slow.start()
    held_up = await begin_batch(writer, other)
    newest = await begin_batch(another, account)
    await quick.commit()
    assert held_up < newest
    assert [await sealer.seal() for _ in range(3)] == [0, 0, 0]
    assert await _unsealed(credits.pool) == 1
    await slow.commit()
    await seal_all(credits.pool, sealer)
    (last,) = await rows(credits.pool, "SELECT batches FROM block ORDER BY number DESC LIMIT 1")
    assert last["batches"] == [held_up, newest]
    assert await breaches(credits.pool, heads) == {}


async def test_a_batch_that_is_rolled_back_leaves_a_gap_and_nothing_waits_for_it(
    credits: Credits, sealer: Sealer, heads: HeadFile, writer: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    account, other = await credits.open(), await credits.open()
    slow = writer.transaction()
    await slow.start()
    gone = await begin_batch(writer, other)
    await credits.use(used(account))
    await slow.rollback()
    assert await seal_all(credits.pool, sealer) == 3
    (sealed,) = await rows(credits.pool, "SELECT array_agg(id) AS ids FROM block, unnest(batches) AS id")
    assert gone not in sealed["ids"]
    assert gone < max(sealed["ids"])
    assert await breaches(credits.pool, heads) == {}


async def test_writers_and_sealers_at_once_leave_one_chain_over_everything(credits: Credits, heads: HeadFile) -> None:
    sealers = [Sealer(credits.pool, credits.clock, heads) for _ in range(3)]
    accounts = [await credits.open_with("1000") for _ in range(4)]

    async def write(account: UUID) -> None:
        for _ in range(40):
            await credits.use(used(account), used(account))

    async def keep_sealing(sealer: Sealer) -> None:
        for _ in range(60):
            await sealer.seal()

    await asyncio.gather(*map(write, accounts), *map(keep_sealing, sealers))
    await seal_all(credits.pool, sealers[0])
    assert await breaches(credits.pool, heads) == {}
    (sealed,) = await rows(credits.pool, "SELECT sum(entries)::int AS entries, count(*) AS blocks FROM block")
    assert sealed["entries"] == 4 * (2 + 80)
    assert sealed["blocks"] == len(list(heads.read()))


async def test_heads_are_exported_in_order_and_what_was_missed_follows(
    credits: Credits, sealer: Sealer, heads: HeadFile
) -> None:
    silent = Sealer(credits.pool, credits.clock, None)
    for _ in range(3):
        await credits.open()
        await seal_all(credits.pool, silent)
    await credits.open()
    await seal_all(credits.pool, sealer)
    assert [head.number for head in heads.read()] == [1, 2, 3, 4]
    found = await rows(credits.pool, "SELECT number, hash, entries, sealed_at FROM block ORDER BY number")
    assert [(h.number, h.hash, h.entries, h.sealed_at) for h in heads.read()] == [tuple(row) for row in found]


async def test_who_reads_heads_sees_those_that_were_there_when_he_began(
    credits: Credits, sealer: Sealer, heads: HeadFile
) -> None:
    """Else verification would miss the blocks of heads that came after its snapshot."""
    for _ in range(2):
        await credits.open()
        await seal_all(credits.pool, sealer)
    reading = heads.read()
    found = [next(reading).number]
    await credits.open()
    await seal_all(credits.pool, sealer)
    assert found + [head.number for head in reading] == [1, 2]
    assert [head.number for head in heads.read()] == [1, 2, 3]


async def test_a_line_that_was_not_written_whole_is_written_again(
    credits: Credits, sealer: Sealer, heads: HeadFile, tmp_path: Path
) -> None:
    file = tmp_path / "audit" / "ledger-heads.jsonl"
    await credits.open()
    await seal_all(credits.pool, sealer)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    assert [head.number for head in heads.read()] == [1]
    await credits.open()
    await seal_all(credits.pool, sealer)
    assert [json.loads(line)["number"] for line in file.read_text().splitlines()] == [1, 2]
    file.write_text("what is this\n" + file.read_text())
    with pytest.raises(ValueError, match="line 1"):
        list(heads.read())


@pytest.mark.parametrize(
    "statement", ["UPDATE block SET entries = 0", "DELETE FROM block", "UPDATE batch SET entries = 0"]
)
async def test_the_services_role_cannot_change_what_is_sealed(credits: Credits, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await rows(credits.pool, statement)
