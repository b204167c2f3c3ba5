"""`scrip reconcile`: a full pass over the books of Stripe, payments and the ledger, at once and to its end.

`scrip resolve` says why something that it found may stay so.
"""

import asyncio
import getpass
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deploy.cli.service_apis import payments_api
from deploy.cli.state import State
from libs.chassis.errors import UnavailableError
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.http.reconciliation_v1 import Finding, Reconciliation, ResolveFinding, StepDone, StepOrder
from libs.contracts.money import Money

_WORDS = {
    "movements": "money moved at Stripe",
    "events": "other events at Stripe",
    "purchases": "purchases paid here",
    "vouchers": "vouchers redeemed here",
    "lots": "lots of the ledger",
}
_AGAIN_SECONDS = 0.2
_PATIENCE_SECONDS = 120.0


def add_commands(app: typer.Typer, state: Callable[[], State], console: Console) -> None:
    """Add the commands; `state` finds the running stack."""

    @app.command("reconcile")
    def command(
        *,
        by: Annotated[str, typer.Option("--by", help="who asks", default_factory=getpass.getuser)],
        since: Annotated[datetime | None, typer.Option(help="from when on (UTC); 35 days ago if not said")] = None,
        json: Annotated[bool, typer.Option("--json", help="print what was found as JSON")] = False,
    ) -> None:
        """Compare all books with Stripe's, mend what was missed, and say what cannot be. Exit code 1 if they differ."""
        order = StepOrder(begin=True, since=since.replace(tzinfo=UTC) if since else None)

        async def do() -> bool:
            began = time.monotonic()
            async with payments_api(state()) as client:
                ended = await go_through(client, order, by=by, progress=_progress(console, shown=not json))
                found = await client.get("/reconciliation", Reconciliation)
            if json:
                print(found.model_dump_json(indent=2))
            else:
                tell(found, console, ended=ended, seconds=time.monotonic() - began)
            return ended and not found.findings

        if not asyncio.run(do()):
            raise typer.Exit(1)

    _add_resolve(app, state, console)


def _add_resolve(app: typer.Typer, state: Callable[[], State], console: Console) -> None:
    @app.command("resolve")
    def settle(
        finding: Annotated[str, typer.Argument(help="fnd_..., as `scrip reconcile` names it")],
        *,
        reason: Annotated[str, typer.Option(help="what was looked into, and what was done about it")],
        by: Annotated[str, typer.Option("--by", help="who says so", default_factory=getpass.getuser)],
    ) -> None:
        """Say why something that does not agree may stay so: it is no drift any more."""

        async def do() -> Finding:
            async with payments_api(state()) as client:
                path, order = f"/reconciliation/findings/{finding}/resolve", ResolveFinding(reason=reason)
                return await client.post(path, order, Finding, caller=f"staff:{by}")

        console.print(f"  resolved {_line(asyncio.run(do()))}", markup=False)


async def go_through(client: ServiceClient, order: StepOrder, *, by: str, progress: Progress) -> bool:
    """Have a full pass done, step by step; False if it came to a stop, as whom it waits for did not answer."""
    bars: dict[str, TaskID] = {}
    with progress:
        moved, last = time.monotonic(), None
        while time.monotonic() - moved < _PATIENCE_SECONDS:
            try:
                done = await client.post("/reconciliation/steps", order, StepDone, caller=f"staff:{by}")
            except UnavailableError:  # a page of which much is mended takes long; what is mended stays so
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            order = order if done.busy else StepOrder()
            for walk in done.walks:
                bars.setdefault(walk.what, progress.add_task(_WORDS[walk.what], total=100))
                progress.update(bars[walk.what], completed=walk.percent)
            if done.done:
                return True
            if done.walks == last:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                moved, last = time.monotonic(), done.walks
    return False


def tell(found: Reconciliation, console: Console, *, ended: bool, seconds: float) -> None:
    """Say what was compared, what was mended, and what cannot be."""
    full = [walk for walk in found.walks if walk.scope == "full"]
    for walk in full:
        console.print(f"  {walk.compared:8} {_WORDS[walk.what]}")
    for total in found.moved:
        paid, back, disputed = (
            Money(amount_minor=minor, currency=total.currency)
            for minor in (total.gross_minor, total.refunded_minor, total.disputed_minor)
        )
        console.print(f"  {paid} paid, {back} refunded, {disputed} disputed")
    for kept in found.settled:
        fees, left = (Money(amount_minor=minor, currency=kept.currency) for minor in (kept.fees_minor, kept.net_minor))
        console.print(f"  {fees} kept by Stripe, {left} left")
    for each in found.repaired:
        console.print(f"  mended  {_line(each)}", markup=False)
    for each in found.findings:
        console.print(f"  open    {ids.show('finding', each.id)} {_line(each)}", markup=False)
    if not ended:
        console.print("It is not through: whoever it waits for does not answer.")
    compared = sum(walk.compared for walk in full)
    pace = f"{compared} compared in {seconds:.1f} s ({compared / seconds:.0f} a second)"
    console.print(f"{pace}, {len(found.repaired)} mended, {len(found.findings) or 'none'} open")


def _line(each: Finding) -> str:
    whose = f" {ids.show('purchase', each.purchase)}" if each.purchase else ""
    return f"{each.kind} {each.object}{whose}: {each.detail}"


def _progress(console: Console, *, shown: bool) -> Progress:
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))
