"""`scrip catalogue`: the catalogue as code. What a file would change, and having it be so.

Payments brings its database and Stripe to what the file says; credits activates the file's price book.
"""

import asyncio
import getpass
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli import catalogue_prices
from deploy.cli.service_apis import credits_api, payments_api
from deploy.cli.state import State
from deploy.cli.yaml_files import read_catalogue
from libs.chassis.errors import UnavailableError
from libs.chassis.service_client import ServiceClient
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.catalogue_v1 import CataloguePlan, CatalogueProgress

SOMETHING_TO_DO = 2
PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.5
_PLACES = {
    "database": "In the database",
    "stripe": "At Stripe",
    "prices": "Prices of usage",
    "restart": "Only once the services are started with this file, which they read when they start",
}

File = Annotated[Path, typer.Argument(help="the catalogue, a YAML file")]
By = Annotated[str, typer.Option("--by", help="who applies it", default_factory=getpass.getuser)]


class RefusedByStripeError(Exception):
    """Stripe refused a step of applying a catalogue."""


class BusyError(Exception):
    """Somebody else applies a catalogue, or Stripe does not answer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is not as the file says."""

    place: str
    what: str
    change: str

    def __str__(self) -> str:
        return f"  {self.what}: {self.change}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is not as the file says, and what there is to remark."""

    lines: Sequence[Line]
    remarks: Sequence[str]

    @property
    def to_apply(self) -> bool:
        """Tell whether applying the file would change anything."""
        return any(line.place != "restart" for line in self.lines)


async def plan(payments: ServiceClient, credits: ServiceClient, file: Catalogue) -> Plan:
    """Find out what is not as the file says; nothing is changed. Raises DomainError, UnusableFileError."""
    said = await payments.post("/catalogue/plan", file, CataloguePlan, caller="staff")
    prices = await catalogue_prices.plan(credits, file.price_book)
    lines = [Line(each.place, each.what, each.change) for each in said.changes]
    lines += [Line("prices", f"price book {file.price_book.version}", change) for change in prices.changes]
    return Plan(lines, prices.remarks)


async def apply(
    payments: ServiceClient, credits: ServiceClient, file: Catalogue, *, by: str, say: Callable[[Line], None]
) -> None:
    """Have it be so; what was done before is not done again.

    Raises DomainError, RefusedByStripeError, BusyError; whatever it raises, applying again goes on with it.
    """
    waits_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while (progress := await _step(payments, file, by)) is None or progress.busy or progress.left:
        for each in progress.done if progress else []:
            say(Line(each.place, each.what, each.change))
        if progress is not None and progress.refused is not None:
            step = progress.refused.step
            raise RefusedByStripeError(f"Stripe refuses: {step.what}: {step.change}: {progress.refused.reason}")
        now = asyncio.get_running_loop().time()
        if progress is not None and progress.done:
            waits_until = now + PATIENCE_SECONDS
        elif now > waits_until:
            raise BusyError("Stripe does not answer, or somebody else applies a catalogue: apply it again later")
        else:
            await asyncio.sleep(_PAUSE_SECONDS)
    for each in progress.done:
        say(Line(each.place, each.what, each.change))
    for change in await catalogue_prices.apply(credits, file.price_book, by=by):
        say(Line("prices", f"price book {file.price_book.version}", change))


async def _step(payments: ServiceClient, file: Catalogue, by: str) -> CatalogueProgress | None:
    """Take a step; None if nobody answers now."""
    try:
        return await payments.post("/catalogue/apply", file, CatalogueProgress, caller=f"staff:{by}")
    except UnavailableError:
        return None


def show(console: Console, found: Plan) -> None:
    """Print a plan."""
    for place, heading in _PLACES.items():
        if lines := [line for line in found.lines if line.place == place]:
            console.print(f"{heading}:", *map(str, lines), sep="\n", markup=False)
    for remark in found.remarks:
        console.print(remark, markup=False)
    if not found.lines:
        console.print("Everything is as the file says.")


def commands(state: Callable[[], State], console: Console) -> typer.Typer:
    """Make the commands; `state` finds the running stack."""
    app = typer.Typer(no_args_is_help=True, help="The catalogue as code: what a file would change, and applying it.")

    @app.command("plan")
    def say_what(
        file: File, *, as_json: Annotated[bool, typer.Option("--json", help="write it as JSON")] = False
    ) -> None:
        """Say what applying a catalogue file would change. Exit code 0: nothing; 2: something; 1: it cannot be said."""
        catalogue = read_catalogue(file)
        found = asyncio.run(planned(state(), catalogue))
        if as_json:
            said = {"changes": [asdict(line) for line in found.lines], "remarks": found.remarks}
            typer.echo(json.dumps(said, indent=2))
        else:
            show(console, found)
        raise typer.Exit(SOMETHING_TO_DO if found.lines else 0)

    @app.command("apply")
    def make_so(
        file: File, *, by: By, yes: Annotated[bool, typer.Option("--yes", help="do not ask before")] = False
    ) -> None:
        """Have database, Stripe and prices be as a catalogue file says. What was interrupted is gone on with."""
        catalogue = read_catalogue(file)
        found = asyncio.run(planned(state(), catalogue))
        show(console, found)
        if not found.to_apply:
            return
        if not yes:
            typer.confirm("Apply this?", abort=True)
        console.print("Applying:")
        asyncio.run(applied(state(), console, catalogue, by=by))
        console.print("Done.")

    return app


async def planned(state: State, file: Catalogue) -> Plan:
    """Plan on a running stack."""
    async with payments_api(state) as payments, credits_api(state) as credits:
        return await plan(payments, credits, file)


async def applied(state: State, console: Console, file: Catalogue, *, by: str) -> None:
    """Apply on a running stack."""
    async with payments_api(state) as payments, credits_api(state) as credits:
        await apply(payments, credits, file, by=by, say=lambda line: console.print(str(line), markup=False))
