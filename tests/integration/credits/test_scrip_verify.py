"""`scrip verify` on a ledger: every sentence with its verdict, and where it is broken."""

import io
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from deploy.cli.state import State
from deploy.cli.verify import verify
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.stack import Addresses
from services.credits.clients import HeadFile
from services.credits.operations import verification
from services.credits.operations.sealing import Sealer
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, used


@pytest.fixture
async def ledger(service_pool: ServicePool, tmp_path: Path) -> Credits:
    credits = Credits(await service_pool("credits"))
    account = await credits.open_with("100")
    await credits.use(*(used(account) for _ in range(9)))
    sealer = Sealer(credits.pool, credits.clock, HeadFile(tmp_path / "audit"))
    while await sealer.seal() == 0:
        pass
    return credits


@pytest.fixture
def state(ledger: Credits, service_pool: ServicePool, tmp_path: Path) -> State:
    settings = {
        "SCRIP_CREDITS_DATABASE_URL": service_pool.urls("credits").app_url,
        "SCRIP_CREDITS_AUDIT_FOLDER": str(tmp_path / "audit"),
    }
    nowhere = Addresses(gateway="", payments="", credits="", notifications="", stripe=None, mailbox=None)
    return State(nowhere, {"credits": settings})


async def run(state: State, *, terminal: bool = False, heads: Path | None = None) -> tuple[bool, str]:
    said = io.StringIO()
    console = Console(file=said, width=200, force_terminal=terminal)
    return await verify(state, console, wait_seconds=0, heads=heads), said.getvalue()


async def test_a_sealed_ledger_holds(state: State) -> None:
    right, said = await run(state)
    assert right
    assert "broken" not in said.replace("none broken", "")
    for sentence in (verification.CHAIN, verification.BATCHES, verification.ENTRIES, verification.HEADS):
        assert f"holds  credits       {sentence}" in said


async def test_a_terminal_sees_how_far_it_is(state: State) -> None:
    _, said = await run(state, terminal=True)
    assert "credits: invariants" in said
    assert "credits: blocks" in said


async def test_what_is_broken_is_named_with_its_place(
    state: State, service_pool: ServicePool, infrastructure: Infrastructure
) -> None:
    database = service_pool.urls("credits").app_url.rpartition("/")[2]
    superuser = await asyncpg.connect(infrastructure.database_url, database=database)
    await superuser.execute("UPDATE entry SET amount = amount + 1 WHERE sequence = 5")
    await superuser.close()
    right, said = await run(state)
    assert not right
    assert f"broken credits       {verification.ENTRIES}" in said
    assert ", sequence 5, leg 0: this entry is not the one that was sealed" in said
    assert "broken credits       I2 each entry's balances follow from the ones before" in said
    assert f"holds  credits       {verification.CHAIN}" in said


async def test_heads_that_are_gone_are_not_taken_for_heads_that_agree(state: State, tmp_path: Path) -> None:
    right, said = await run(state, heads=tmp_path / "elsewhere")
    assert not right
    assert "the heads cannot be read" in said


async def test_a_ledger_without_blocks_needs_no_heads(service_pool: ServicePool, tmp_path: Path) -> None:
    await service_pool("credits")
    settings = {"SCRIP_CREDITS_DATABASE_URL": service_pool.urls("credits").app_url}
    nowhere = Addresses(gateway="", payments="", credits="", notifications="", stripe=None, mailbox=None)
    right, _ = await run(State(nowhere, {"credits": settings}), heads=tmp_path)
    assert right
