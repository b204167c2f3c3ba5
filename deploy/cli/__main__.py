"""`scrip`: python -m deploy.cli."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from deploy.cli import background, backtest, catalogue, grants, reconcile, rejections, reports, sums, vouchers
from deploy.cli.catalogue import BusyError, RefusedByStripeError
from deploy.cli.demo import demonstrate
from deploy.cli.grants import UnusableFileError
from deploy.cli.picture import drawn
from deploy.cli.state import NotRunningError, State, read_state
from deploy.cli.verify import verify as audit
from deploy.embedded.claim import AlreadyRunningError, stop_running
from deploy.embedded.interrupts import cancelled_by_signals
from deploy.embedded.jars import JarUnavailableError
from deploy.embedded.processes import ProcessFailedError
from deploy.embedded.stack import StackSettings
from libs.chassis.errors import DomainError

app = typer.Typer(
    name="scrip",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run Scrip, look at it, audit it.",
)
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120, soft_wrap=True)


@app.command()
def up() -> None:
    """Start the whole stack and leave it running; says where everything is."""
    _in_order(background.up(StackSettings(), console))


@app.command()
def down() -> None:
    """Stop the running stack, or what a crashed one left."""
    stopped = stop_running(StackSettings().data.absolute(), patience_s=60)
    console.print("Stopped." if stopped else "Nothing was running.")


@app.command()
def status() -> None:
    """Say what runs, where it answers and how it feels."""
    asyncio.run(background.status(_state(), console))


@app.command()
def verify(
    wait: Annotated[float, typer.Option(help="seconds to let what is on its way arrive")] = 5,
    heads: Annotated[Path | None, typer.Option(help="folder of the ledger's exported heads; else the stack's")] = None,
) -> None:
    """Audit the running stack: invariants, the ledger's chain, Stripe's books. Exit code 1 if something is broken."""
    if not asyncio.run(audit(_state(), console, wait_seconds=wait, heads=heads)):
        raise typer.Exit(1)


@app.command("rebuild-usage-sums")
def rebuild_usage_sums() -> None:
    """Add every account's usage up anew, from the journal; `verify` says whether that is needed."""
    asyncio.run(sums.rebuild(_state(), console))


@app.command()
def demo(
    picture: Annotated[Path | None, typer.Option(help="also write the printout as a picture (SVG)")] = None,
) -> None:
    """Run the whole path once on a stack of its own, step by step, and stop it."""
    told = Console(highlight=False, width=120, soft_wrap=True, record=True) if picture else console
    _in_order(demonstrate(StackSettings(), told))
    if picture:
        picture.write_text(drawn(told, title="make demo"), "utf-8")


@app.command(hidden=True)
def serve() -> None:
    """Run the stack in the foreground; `up` puts this in the background."""
    _in_order(background.serve(StackSettings()))


def _in_order(work: Coroutine[Any, Any, bool]) -> None:
    """Do it, cleaning up after Ctrl-C; exit code 1 if it says that it failed, 130 if it was interrupted."""

    async def run() -> bool | None:
        done: bool | None = None
        with cancelled_by_signals():
            done = await work
        return done  # noqa: RET504 - None stays if a signal cancelled the work

    ended = asyncio.run(run())
    if ended is None:
        console.print("Interrupted; everything is stopped.")
        raise typer.Exit(130)
    if not ended:
        raise typer.Exit(1)


def _state() -> State:
    return read_state(StackSettings().data.absolute())


backtest.add_command(app, _state, console)
app.add_typer(catalogue.commands(_state, console), name="catalogue")
reconcile.add_commands(app, _state, console)
app.add_typer(grants.commands(_state, console), name="grant")
app.add_typer(rejections.commands(_state, console), name="rejected")
app.add_typer(reports.commands(_state, console), name="report")
app.add_typer(vouchers.commands(_state, console), name="vouchers")


_WORDS = (
    AlreadyRunningError,
    BusyError,
    JarUnavailableError,
    NotRunningError,
    ProcessFailedError,
    RefusedByStripeError,
    UnusableFileError,
)
"""Errors whose message is all there is to say."""


def main() -> None:
    """Run the command; what a person can mend is said in words."""
    try:
        app()
    except DomainError as error:
        sys.exit(f"scrip: {error.code.code} {error.detail}")
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"scrip: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
    except _WORDS as error:
        sys.exit(f"scrip: {error}")


if __name__ == "__main__":
    main()
