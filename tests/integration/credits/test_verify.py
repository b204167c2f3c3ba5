"""Verification finds what somebody with all rights did to the journal or to its chain, and says where."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis import invariants
from libs.contracts import ids
from services.credits.clients import HeadFile
from services.credits.operations import verification
from services.credits.operations.sealing import Sealer
from services.credits.operations.verification import BATCHES, CHAIN, ENTRIES, HEADS, verify_chain
from services.credits.store.sealing import account_edges
from tests.support.books import SERVICES, breaches
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, used

USAGES = 12


@dataclass
class Ledger:
    """A sealed ledger of some blocks, its heads, and a superuser who does what he likes."""

    credits: Credits
    sealer: Sealer
    heads: HeadFile
    account: UUID
    superuser: "asyncpg.Connection[asyncpg.Record]"

    async def verify(self) -> dict[str, str]:
        """Verify the chain."""
        async with self.credits.pool.connection() as conn:
            return (await verify_chain(conn, self.heads.read())).first

    async def tamper(self, statement: str, *args: object) -> None:
        """Change the books; whatever the statement is, it must hit something."""
        said = await self.superuser.execute(statement, *args)
        assert not said.endswith(" 0"), said

    async def seal_again_from(self, block: int) -> None:
        """Forge the chain: drop blocks and seal what they sealed anew."""
        await self.tamper("DELETE FROM block WHERE number >= $1", block)
        forger = Sealer(self.credits.pool, self.credits.clock, None)
        await forger.seal()
        while await forger.seal():
            pass

    async def find(self, usage: int) -> asyncpg.Record:
        """Find the entry of a usage by its number."""
        row = await self.superuser.fetchrow(
            """SELECT e.*, b.number AS block FROM entry AS e INNER JOIN block AS b ON e.batch_id = ANY(b.batches)
                WHERE e.account_id = $1 AND e.type = 'usage' ORDER BY e.sequence OFFSET $2 LIMIT 1""",
            self.account,
            usage,
        )
        assert row is not None
        return row


@pytest.fixture
async def ledger(service_pool: ServicePool, infrastructure: Infrastructure, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger whose books will not balance in the end."""
    credits = Credits(await service_pool("credits"))
    heads = HeadFile(tmp_path)
    sealer = Sealer(credits.pool, credits.clock, heads)
    account, other = await credits.open_with("100"), await credits.open_with("100")
    for number in range(USAGES // 4):
        events = [used(account, id=f"{number}-{n}", quantity=n + 1) for n in range(4)]
        await credits.use(*events, used(other))
        await sealer.seal()
        while await sealer.seal():
            pass
    database = service_pool.urls("credits").app_url.rpartition("/")[2]
    superuser = await asyncpg.connect(infrastructure.database_url, database=database)
    yield Ledger(credits, sealer, heads, account, superuser)
    await superuser.close()


async def test_an_untouched_ledger_verifies_and_says_how_far_it_is(ledger: Ledger) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    async with ledger.credits.pool.connection() as conn:
        assert (await verify_chain(conn, ledger.heads.read(), step=step)).first == {}
        assert steps == await verification.count_blocks(conn) >= 3
    assert await breaches(ledger.credits.pool, "credits") == []


CHANGES = {
    "amount": "amount = amount + 1",
    "balance": "available_after = available_after + 1",
    "key": "key = gen_random_uuid()",
    "lot": "lot_id = gen_random_uuid()",
    "fingerprint": "fingerprint = gen_random_uuid()",
    "type": "type = 'charge'",
    "bucket": "to_bucket = 'breakage'",
    "reference": "reference_id = 'another'",
    "description": "description = 'Nothing happened'",
    "details": """details = '{"quantity": "0"}'""",
    "price": "price_version = 'cheap'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_changed_entry_is_found_by_block_batch_account_and_sequence(ledger: Ledger, change: str) -> None:
    entry = await ledger.find(5)
    await ledger.tamper(
        f"UPDATE entry SET {change} WHERE account_id = $1 AND sequence = $2", ledger.account, entry["sequence"]
    )
    found = await ledger.verify()
    assert list(found) == [ENTRIES]
    assert found[ENTRIES] == (
        f"block {entry['block']}, batch {entry['batch_id']}, account {ids.show('account', ledger.account)}, "
        f"sequence {entry['sequence']}, leg 0: this entry is not the one that was sealed"
    )


async def test_a_removed_entry_is_found_by_the_one_after_it(ledger: Ledger) -> None:
    entry = await ledger.find(4)
    await ledger.tamper("DELETE FROM entry WHERE account_id = $1 AND sequence = $2", ledger.account, entry["sequence"])
    found = (await ledger.verify())[ENTRIES]
    assert f"batch {entry['batch_id']}, account {ids.show('account', ledger.account)}" in found
    assert f"sequence {entry['sequence'] + 1}, leg 0: an entry before this one was removed" in found


async def test_an_inserted_entry_is_found(ledger: Ledger) -> None:
    entry = await ledger.find(6)
    await ledger.tamper(
        """INSERT INTO entry SELECT account_id, key, lot_id, NULL, at, sequence, batch_id, amount, available_after,
                                    held_after, debt_after, type, from_bucket, to_bucket, 1
             FROM entry WHERE account_id = $1 AND sequence = $2""",
        ledger.account,
        entry["sequence"],
    )
    found = (await ledger.verify())[ENTRIES]
    assert f"sequence {entry['sequence']}, leg 1: this entry was not there when the block was sealed" in found


async def test_two_entries_that_changed_places_are_found(ledger: Ledger) -> None:
    first, second = await ledger.find(8), await ledger.find(9)
    for old, new in ((first, -1), (second, first["sequence"]), (None, second["sequence"])):
        sequence = old["sequence"] if old else -1
        await ledger.tamper(
            "UPDATE entry SET sequence = $3 WHERE account_id = $1 AND sequence = $2", ledger.account, sequence, new
        )
    found = (await ledger.verify())[ENTRIES]
    assert f"block {first['block']}, batch {first['batch_id']}" in found
    assert f"sequence {first['sequence']}, leg 0: this entry is not the one that was sealed" in found


async def test_entries_of_another_time_or_of_no_batch_break_the_invariants(ledger: Ledger) -> None:
    entry = await ledger.find(2)
    await ledger.tamper(
        "UPDATE entry SET at = at + interval '2 months' WHERE account_id = $1 AND sequence = $2",
        ledger.account,
        entry["sequence"],
    )
    assert ENTRIES in await ledger.verify()
    assert any("every batch has the entries it says, of its own instant" in b for b in await broken(ledger))


async def broken(ledger: Ledger) -> list[str]:
    return await breaches(ledger.credits.pool, "credits")


async def test_a_batch_that_was_removed_is_found(ledger: Ledger) -> None:
    entry = await ledger.find(5)
    await ledger.tamper("DELETE FROM batch WHERE id = $1", entry["batch_id"])
    found = (await ledger.verify())[BATCHES]
    assert found.startswith(f"block {entry['block']}, batch {entry['batch_id']}: it is not there any more")
    assert any("every batch has the entries it says" in breach for breach in await broken(ledger))


async def test_a_batch_slipped_into_a_gap_of_a_sealed_block_is_found(ledger: Ledger) -> None:
    gap = await ledger.superuser.fetchval("SELECT nextval(pg_get_serial_sequence('batch', 'id'))")
    await ledger.credits.use(used(ledger.account))
    await ledger.sealer.seal()
    await ledger.sealer.seal()
    assert await ledger.verify() == {}
    await ledger.tamper(
        "INSERT INTO batch (id, entries, at) OVERRIDING SYSTEM VALUE SELECT $1, 0, max(at) FROM batch", gap
    )
    assert re.fullmatch(rf"block \d+, batch {gap}: it was not there .*", (await ledger.verify())[BATCHES])


async def test_a_removed_block_is_found(ledger: Ledger) -> None:
    await ledger.tamper("DELETE FROM block WHERE number = 2")
    found = await ledger.verify()
    assert found[CHAIN].startswith("block 2: it is missing")
    assert found[HEADS].startswith("block 2: its head was exported, and it is not there")


@pytest.mark.parametrize(
    "change",
    [
        "sealed_at = sealed_at + interval '1 second'",
        "hash = sha256('x')",
        "batches = array_append(batches[2:], batches[1])",
        "hashes[1] = sha256('x')",
    ],
)
async def test_a_changed_block_is_found(ledger: Ledger, change: str) -> None:
    await ledger.tamper(f"UPDATE block SET {change} WHERE number = 1")
    assert re.match("block 1: it, or block 0", (await ledger.verify())[CHAIN])


async def test_a_chain_that_was_forged_from_a_changed_entry_on_is_found_by_the_exported_heads(ledger: Ledger) -> None:
    entry = await ledger.find(USAGES // 2)
    await ledger.tamper(
        "UPDATE entry SET description = 'x' WHERE account_id = $1 AND sequence = $2",
        ledger.account,
        entry["sequence"],
    )
    await ledger.seal_again_from(entry["block"])
    found = await ledger.verify()
    assert found == {HEADS: f"block {entry['block']}: it is not the one whose head was exported"}


async def test_newest_blocks_that_were_cut_off_are_found_by_the_exported_heads(ledger: Ledger) -> None:
    last = await ledger.superuser.fetchval("SELECT max(number) FROM block")
    await ledger.tamper("DELETE FROM block WHERE number = $1", last)
    assert await ledger.verify() == {
        HEADS: f"block {last}: its head was exported, and the chain ends at block {last - 1}"
    }


async def test_slices_find_what_the_whole_finds(ledger: Ledger) -> None:
    entry = await ledger.find(5)
    await ledger.tamper(
        "UPDATE entry SET amount = amount + 1 WHERE account_id = $1 AND sequence = $2",
        ledger.account,
        entry["sequence"],
    )
    queries = invariants.read(SERVICES / "credits")
    async with ledger.credits.pool.connection() as conn:
        edges = await ledger.superuser.fetch("SELECT id FROM account ORDER BY id")
        cut = invariants.slices([row["id"] for row in edges])
        steps: list[None] = []
        sliced = [
            (f.invariant.sentence, [*map(dict, f.breaches)])
            async for f in invariants.check(conn, queries, slices=cut, step=lambda: steps.append(None))
        ]
        whole = [(f.invariant.sentence, [*map(dict, f.breaches)]) async for f in invariants.check(conn, queries)]
    assert sliced == whole
    assert len(steps) == invariants.steps(queries, slices=len(cut)) > len(queries)
    assert any(found for _, found in whole)


async def test_accounts_are_cut_into_parts_of_one_size(ledger: Ledger) -> None:
    await ledger.superuser.execute(
        "INSERT INTO account (id, opened_at, changed_at) SELECT uuidv7(), now(), now() FROM generate_series(1, 98)"
    )
    async with ledger.credits.pool.connection() as conn:
        assert await verification.account_slices(conn) == [invariants.EVERYTHING]
        for parts in (1, 3, 8, 100, 256):
            cut = invariants.slices(await account_edges(conn, parts))
            sizes = [
                await conn.fetchval("SELECT count(*) FROM account WHERE id BETWEEN $1 AND $2", *bounds)
                for bounds in cut
            ]
            assert sum(sizes) == 100
            assert len(cut) == min(parts, 100)
            assert max(sizes) <= 2 * (100 // len(cut))
