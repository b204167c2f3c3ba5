"""`scrip report`: finance's view of the books, as a table, JSON or CSV."""

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.status import Status

from deploy.cli.grants import UnusableFileError
from deploy.cli.report_table import table
from deploy.cli.service_apis import credits_api, payments_api
from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.contracts.http.base import Page
from libs.contracts.http.reports_v1 import (
    DeferredRow,
    GiftCardRow,
    MovementQuery,
    MovementRow,
    PromoCodeRow,
    Report,
    ReportDays,
    ReportQuery,
    RevenueRow,
    Row,
    SalesRow,
    TriesRow,
)
from libs.contracts.tables import CsvRows

R = TypeVar("R", bound=Row)
Q = TypeVar("Q", bound=ReportDays)
Open = Callable[[State], AbstractAsyncContextManager[ServiceClient]]


_WIDEST = 400
"""A screen that is narrower wraps a table's lines; nothing of a figure is ever cut off."""


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Listing(StrEnum):
    """How a list is written that may be long."""

    JSON = "json"
    CSV = "csv"


class By(StrEnum):
    """Of what a row is."""

    DAY = "day"
    MONTH = "month"


Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="the first day (UTC); the first of the last day's month if not said"),
]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the last day, included; today if not said")]
Out = Annotated[Path | None, typer.Option(help="write to this file, not to the screen")]
Staff = Annotated[str, typer.Option("--staff", help="who asks", default_factory=getpass.getuser)]
Each = Annotated[By, typer.Option(help="what a row is of")]
As = Annotated[Format, typer.Option("--format", help="CSV has the rows alone, the others their totals too")]


def commands(state: Callable[[], State], console: Console) -> typer.Typer:
    """Make the commands; `state` finds the running stack."""
    app = typer.Typer(no_args_is_help=True, help="Report on money: by day or month, and by currency.")

    def add(name: str, row: type[R], api: Open, about: str) -> None:
        @app.command(name, help=about)
        def command(
            *,
            since: Since = None,
            until: Until = None,
            by: Each = By.DAY,
            form: As = Format.TABLE,
            out: Out = None,
            staff: Staff,
        ) -> None:
            query = _query(ReportQuery, since, until, by=by)
            report = _run(_asked(api(state()), f"/reports/{name}", Report[row], query, staff))  # type: ignore[valid-type]
            with _output(out) as file:
                _write(report, row, form, file, console)

    add("revenue", RevenueRow, payments_api, "What was paid, what went back, and what Stripe kept and left of it.")
    add("sales", SalesRow, payments_api, "What packs, gift cards and custom amounts sold.")
    add("promo-codes", PromoCodeRow, payments_api, "What was paid with promo codes, what they took off and brought.")
    add("payment-tries", TriesRow, payments_api, "How often paying went well.")
    add("deferred", DeferredRow, credits_api, "What was paid for credits that are not used yet, and what became of it.")
    add("gift-cards", GiftCardRow, payments_api, "What was paid for gift cards that nobody has redeemed yet.")
    _add_movements(app, state)
    return app


def _add_movements(app: typer.Typer, state: Callable[[], State]) -> None:
    @app.command()
    def movements(
        *,
        since: Since = None,
        until: Until = None,
        form: Annotated[Listing, typer.Option("--format")] = Listing.CSV,
        out: Out = None,
        staff: Staff,
    ) -> None:
        """Every movement of money at Stripe that the reports are the sums of, oldest first."""
        query = _query(MovementQuery, since, until, limit=1000)

        async def do(file: TextIO, status: Status) -> None:
            rows = _CSV(file) if form is Listing.CSV else _JSON(file)
            async with payments_api(state()) as client:
                async for page in _pages(client, query, staff):
                    rows.write(page)
                    status.update(f"{rows.written} movements")
            rows.end()

        with _output(out) as file, Console(stderr=True).status("asking") as status:
            asyncio.run(do(file, status))


async def _pages(client: ServiceClient, query: MovementQuery, staff: str) -> AsyncIterator[list[MovementRow]]:
    asked = query.model_dump(mode="json", exclude_none=True)
    while True:
        page = await client.get("/reports/movements", Page[MovementRow], params=asked, caller=f"staff:{staff}")
        yield page.data
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor


class _CSV:
    """A long list as CSV."""

    def __init__(self, file: TextIO) -> None:
        self._rows, self.written = CsvRows(MovementRow, file), 0

    def write(self, rows: list[MovementRow]) -> None:
        """Write some more."""
        self._rows.write(rows)
        self.written += len(rows)

    def end(self) -> None:
        """Nothing is left to be written."""


class _JSON:
    """A long list as a JSON array."""

    def __init__(self, file: TextIO) -> None:
        self._file, self.written = file, 0

    def write(self, rows: list[MovementRow]) -> None:
        """Write some more."""
        for row in rows:
            self._file.write(f"{',' if self.written else '['}\n{row.model_dump_json()}")
            self.written += 1

    def end(self) -> None:
        """Close the array."""
        self._file.write("\n]\n" if self.written else "[]\n")


async def _asked(
    opened: AbstractAsyncContextManager[ServiceClient],
    path: str,
    answer: type[Report[R]],
    query: ReportQuery,
    staff: str,
) -> Report[R]:
    async with opened as client:
        return await client.get(path, answer, params=query.model_dump(mode="json"), caller=f"staff:{staff}")


def _run(work: Coroutine[Any, Any, Report[R]]) -> Report[R]:
    with Console(stderr=True).status("adding up"):
        return asyncio.run(work)


def _write(report: Report[R], row: type[R], form: Format, file: TextIO, console: Console) -> None:
    if form is Format.JSON:
        file.write(report.model_dump_json(indent=2) + "\n")
    elif form is Format.CSV:
        CsvRows(row, file).write(report.data)
    else:
        wide = Console(file=console.file if file is sys.stdout else file, width=_WIDEST, highlight=False)
        wide.print(table(report, row))
        wide.print(f"As of {report.as_of:%F %T} UTC." if report.as_of else "The books were never followed.")


def _query(model: type[Q], since: datetime | None, until: datetime | None, **more: Any) -> Q:
    last = (until or datetime.now(UTC)).date()
    first = since.date() if since else last.replace(day=1)
    try:
        return model.model_validate({"since": first, "until": last, **more})
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    """Open where a report goes. Raises UnusableFileError."""
    if out is None:
        yield sys.stdout
        return
    try:
        file = out.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UnusableFileError(f"{out} cannot be written: {error.strerror}") from error
    with file:
        yield file
