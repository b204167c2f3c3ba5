"""`scrip verify`: audits a running stack; every invariant of every service, and Stripe's books beside ours."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
from rich.console import Console

from deploy.cli.books import differences, read_books
from deploy.cli.state import State
from deploy.embedded.settings import PROJECT
from libs.chassis import invariants
from libs.chassis.pool import set_up

_LOOK_EVERY_SECONDS = 0.3
BOOKS = "I3, I7 Stripe's books, the purchases and the lots agree"


@dataclass(frozen=True, slots=True)
class Check:
    """A sentence that was checked, and what breaks it."""

    where: str
    sentence: str
    breaches: list[str]


async def checks(state: State) -> AsyncIterator[Check]:
    """Check every invariant of every service, then the books against each other."""
    for service in state.environments:
        found = invariants.read(PROJECT / "services" / service)
        conn = await asyncpg.connect(state.database_url(service))
        try:
            await set_up(conn)
            async for finding in invariants.check(conn, found):
                yield Check(service, finding.invariant.sentence, [str(dict(row)) for row in finding.breaches])
        finally:
            await conn.close()
    if state.addresses.stripe:
        books = await read_books(
            payments_url=state.database_url("payments"),
            credits_url=state.database_url("credits"),
            sandbox_url=state.addresses.stripe,
        )
        yield Check("all", BOOKS, list(differences(books)))


async def verify(state: State, console: Console, *, wait_seconds: float) -> bool:
    """Audit, and print each sentence with its verdict; what is still on its way has `wait_seconds` to arrive."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + wait_seconds
    done = [check async for check in checks(state)]
    while any(check.breaches for check in done) and loop.time() < ends:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        done = [check async for check in checks(state)]
    for check in done:
        mark = "[red]broken[/red]" if check.breaches else "[green]holds [/green]"
        console.print(f"  {mark} {check.where:13} {check.sentence}")
        for breach in check.breaches[:5]:
            console.print(f"           {breach}", markup=False, highlight=False)
    broken = sum(bool(check.breaches) for check in done)
    console.print(f"{len(done)} invariants checked, {broken or 'none'} broken")
    return not broken
