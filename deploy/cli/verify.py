"""`scrip verify`: audits a running stack; every invariant of every service, the ledger's chain, and Stripe's books."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.cli.books import differences, read_books
from deploy.cli.state import State
from deploy.embedded.settings import PROJECT
from libs.chassis import invariants
from libs.chassis.pool import Connection, set_up
from services.credits.clients import HeadFile
from services.credits.operations import verification

_LOOK_EVERY_SECONDS = 0.3
BOOKS = "I3, I7 Stripe's books, the purchases and the lots agree"


@dataclass(frozen=True, slots=True)
class Check:
    """A sentence that was checked, and what breaks it."""

    where: str
    sentence: str
    breaches: list[str]


class Steps:
    """A bar that shows how far a service's audit is; nothing where nobody looks."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, what: str, total: int) -> Callable[[], None]:
        """Show a bar of so many steps; what is returned makes one."""
        task = self._progress.add_task(what, total=total)
        return lambda: self._progress.advance(task)


async def checks(state: State, steps: Steps, *, heads: Path | None) -> AsyncIterator[Check]:
    """Check every invariant of every service, the ledger's chain, then the books against each other."""
    for service in state.environments:
        async with _connected(state.database_url(service)) as conn:
            async for check in _invariants(conn, service, steps):
                yield check
            if service == "credits":
                async for check in _chain(conn, steps, heads):
                    yield check
    if state.addresses.stripe:
        books = await read_books(
            payments_url=state.database_url("payments"),
            credits_url=state.database_url("credits"),
            sandbox_url=state.addresses.stripe,
        )
        yield Check("all", BOOKS, list(differences(books)))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(url, server_settings={"application_name": "scrip-verify", "jit": "off"})
    try:
        await set_up(conn)
        yield conn
    finally:
        await conn.close()


async def _invariants(conn: Connection, service: str, steps: Steps) -> AsyncIterator[Check]:
    found = invariants.read(PROJECT / "services" / service)
    slices = await verification.account_slices(conn) if service == "credits" else [invariants.EVERYTHING]
    step = steps.begin(f"{service}: invariants", invariants.steps(found, slices=len(slices)))
    async for finding in invariants.check(conn, found, slices=slices, step=step):
        yield Check(service, finding.invariant.sentence, [str(dict(row)) for row in finding.breaches])


async def _chain(conn: Connection, steps: Steps, heads: Path | None) -> AsyncIterator[Check]:
    blocks = await verification.count_blocks(conn)
    step = steps.begin("credits: blocks", blocks)
    exported = HeadFile(heads).read() if heads is not None and blocks else None
    try:
        found = (await verification.verify_chain(conn, exported, step=step)).first
    except (OSError, ValueError) as error:
        yield Check("credits", verification.HEADS, [f"the heads cannot be read: {error}"])
        return
    sentences = (verification.CHAIN, verification.BATCHES, verification.ENTRIES)
    for sentence in sentences if heads is None else (*sentences, verification.HEADS):
        yield Check("credits", sentence, [found[sentence]] if sentence in found else [])


async def verify(state: State, console: Console, *, wait_seconds: float, heads: Path | None = None) -> bool:
    """Audit, and print each sentence with its verdict; what is still on its way has `wait_seconds` to arrive.

    `heads` is the folder to which the chain's heads are exported, if not the one that the stack says.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + wait_seconds
    heads = heads or _exported_to(state)
    done = await _audit(state, console, heads)
    while any(check.breaches for check in done) and loop.time() < ends:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        done = await _audit(state, console, heads)
    for check in done:
        mark = "[red]broken[/red]" if check.breaches else "[green]holds [/green]"
        console.print(f"  {mark} {check.where:13} {check.sentence}")
        for breach in check.breaches[:5]:
            console.print(f"           {breach}", markup=False, highlight=False)
    broken = sum(bool(check.breaches) for check in done)
    console.print(f"{len(done)} invariants checked, {broken or 'none'} broken")
    return not broken


async def _audit(state: State, console: Console, heads: Path | None) -> list[Check]:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        return [check async for check in checks(state, Steps(progress), heads=heads)]


def _exported_to(state: State) -> Path | None:
    folder = state.environments["credits"].get("SCRIP_CREDITS_AUDIT_FOLDER")
    return Path(folder) if folder else None
