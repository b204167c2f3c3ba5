"""`scrip backtest`: what recorded usage would have cost by a draft of the price book. Nothing is changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import asyncpg
import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from deploy.cli.backtest_picture import picture
from deploy.cli.backtest_report import Results, show
from deploy.cli.grants import UnusableFileError
from deploy.cli.state import State
from deploy.cli.yaml_files import read_yaml
from libs.chassis.pool import Connection, set_up
from libs.contracts import ids
from libs.contracts.price_book import PriceBook
from services.credits.domain.backtests import Summary
from services.credits.domain.pricing import PriceBookError, Prices, line_of
from services.credits.operations import backtests
from services.credits.operations.backtests import Asked, Progress

_SETTINGS = {"application_name": "scrip-backtest", "jit": "off", "work_mem": "256MB"}
"""So much is sorted in memory; what is more, on the database's disk."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the results go beside the console."""

    csv: Path | None = None
    json: Path | None = None
    picture: Path | None = None


def read_prices(file: Path) -> Prices:
    """Read and compile a book: a file that is one, or has one as `price_book`. Raises UnusableFileError."""
    text, document = read_yaml(file)
    within = ("price_book",) if isinstance(document, dict) and "price_book" in document else ()
    try:
        book = document["price_book"] if within else document
        return Prices(PriceBook.model_validate_json(orjson.dumps(book, default=str, option=orjson.OPT_NON_STR_KEYS)))
    except PriceBookError as error:
        where, why = error.where, error.why
    except ValidationError as error:
        first = error.errors()[0]
        where, why = first["loc"], f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise UnusableFileError(f"{file}, line {line_of(text, (*within, *where))}: {why}")


async def run(state: State, console: Console, prices: Prices, asked: Asked, files: Files) -> Summary:
    """Test a book on the running stack's journal, and report. Raises UnusableFileError if a file cannot be written."""
    with _writable(), Results(prices.version, asked, csv_file=files.csv, json_file=files.json) as results:
        async with connected(state.database_url("credits")) as conn:
            with _progress(console) as progress:
                summary = await backtests.backtest(conn, prices, asked, done=results.add, progress=progress)
        results.finish(summary)
        if files.picture is not None:
            files.picture.write_text(picture(summary, prices.version), "utf-8")
    show(console, summary, prices.version, asked)
    return summary


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UnusableFileError(f"{error.filename} cannot be written: {error.strerror}") from error


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Connect as somebody who reads much, and whose plans are for that."""
    conn = await asyncpg.connect(url, server_settings=_SETTINGS)
    try:
        await set_up(conn)
        yield conn
    finally:
        await conn.close()


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Show a bar that says how much is read; nothing where nobody looks."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("credits: recorded usage", total=None)
        yield Progress(
            begin=lambda total: bars.update(task, total=total), read=lambda number: bars.advance(task, number)
        )


def add_command(app: typer.Typer, state: Callable[[], State], console: Console) -> None:
    """Add the command; `state` finds the running stack."""

    @app.command()
    def backtest(
        book: Annotated[Path, typer.Option(help="the draft: a YAML or JSON file that is a price book or has one")],
        since: Annotated[datetime, typer.Option(help="what was recorded from then on is summed up (UTC)")],
        *,
        until: Annotated[datetime | None, typer.Option(help="and until before then (UTC); else all of it")] = None,
        account: Annotated[str | None, typer.Option(help="of one account, acc_...; else of all")] = None,
        dearer_by: Annotated[int, typer.Option(help="from how many percent on an account pays much more")] = 20,
        csv: Annotated[Path | None, typer.Option(help="write every account's meters to this file")] = None,
        json: Annotated[Path | None, typer.Option(help="write everything to this file")] = None,
        picture: Annotated[
            Path | None, typer.Option(help="draw it (SVG): by meter, and how many change how much")
        ] = None,
    ) -> None:
        """Say what recorded usage would have cost by a draft of the price book. Reads the ledger, changes nothing."""
        prices = read_prices(book)
        asked = Asked(
            since.replace(tzinfo=UTC),
            until.replace(tzinfo=UTC) if until else None,
            _read_account(account) if account else None,
            dearer_by,
        )
        asyncio.run(run(state(), console, prices, asked, Files(csv, json, picture)))


def _read_account(text: str) -> UUID:
    try:
        return ids.read("account", text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--account") from error
