"""`scrip grant`: credits given by staff, to one account or to those in a file; said row by row what became of it.

The same file under the same terms is the same grant: a command that was interrupted, or that is run again, follows the
grant where it is and gives nothing twice.
"""

import asyncio
import csv
import getpass
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.cli.service_apis import credits_api
from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.http.base import Page, Request
from libs.contracts.http.grants_v1 import (
    LARGEST_GRANT,
    BulkGrantOrder,
    Grant,
    GrantOrder,
    GrantRow,
    GrantRowResult,
)

_LOOK_EVERY_SECONDS = 0.2
_COLUMNS = ("account", "email", "credits", "note")
_SHOWN_FAILURES = 20

Note = Annotated[str, typer.Option(help="why; customers see it")]
Kind = Annotated[str, typer.Option(help="granted, promotional or refunded; it decides when the credits burn")]
Expires = Annotated[datetime | None, typer.Option(help="from when on they cannot be spent (UTC); never, if absent")]
By = Annotated[str, typer.Option("--by", help="who asks or decides", default_factory=getpass.getuser)]
GrantName = Annotated[str, typer.Argument(help="the grant's id, grt_...")]
Results = Annotated[Path | None, typer.Option(help="write what became of every row to this CSV file")]


class UnusableFileError(Exception):
    """The file cannot be granted by as it is."""


class Desk:
    """Where staff ask for grants: the credits service's own API."""

    def __init__(self, client: ServiceClient, console: Console, *, by: str) -> None:
        self._client = client
        self.console = console
        self._caller = f"staff:{by}"

    async def give(self, order: GrantOrder, *, key: str) -> Grant:
        """Grant credits to one account. Raises DomainError."""
        return await self._ask("/grants", order, key)

    async def give_many(self, order: BulkGrantOrder, *, key: str) -> Grant:
        """Grant credits to many accounts, and show how far it is until it is done or waits for a second person."""
        return await self.follow(await self._ask("/grants/bulk", order, key))

    async def _ask(self, path: str, order: Request, key: str) -> Grant:
        return (await self._client.post_once(path, order, Grant, caller=self._caller, idempotency_key=key)).answer

    async def decide(self, grant: str, verb: str) -> Grant:
        """Approve or reject a grant, and follow it."""
        return await self.follow(
            await self._client.post(f"/grants/{grant}/{verb}", Request(), Grant, caller=self._caller)
        )

    async def show(self, grant: str) -> Grant:
        """Find a grant."""
        return await self._client.get(f"/grants/{grant}", Grant)

    async def follow(self, grant: Grant) -> Grant:
        """Show how far a grant is, as long as it runs."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(ids.show("grant", grant.id), total=grant.rows)
            while grant.state == "running":
                progress.update(task, completed=grant.granted + grant.failed)
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
                grant = await self.show(ids.show("grant", grant.id))
        return grant

    async def rows(self, grant: Grant) -> AsyncIterator[GrantRowResult]:
        """Read what became of each row."""
        cursor: str | None = None
        while True:
            asked = {"limit": 100, "cursor": cursor}
            page = await self._client.get(
                f"/grants/{ids.show('grant', grant.id)}/rows", Page[GrantRowResult], params=asked
            )
            for row in page.data:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def report(self, grant: Grant, results: Path | None = None) -> bool:
        """Say what became of a grant, and of the rows that failed; False if any did."""
        say, name = self.console.print, ids.show("grant", grant.id)
        say(f"{name}: {grant.state}, {format_credits(grant.credits)} credits in {grant.rows} rows")
        say(f"  {grant.granted} granted, {grant.failed} failed")
        if grant.state == "waiting_for_approval":
            say(f"  above the limit: a second person decides by `scrip grant approve {name}`")
        if grant.failed or results:
            rows = [row async for row in self.rows(grant)]
            self._report_failures([row for row in rows if row.problem])
            if results:
                _write(results, rows)
        return not grant.failed

    def _report_failures(self, failed: list[GrantRowResult]) -> None:
        for row in failed[:_SHOWN_FAILURES]:
            code = row.problem.code if row.problem else ""
            self.console.print(f"  row {row.number}: {_whom(row)}: {code} {_why(row)}")
        if len(failed) > _SHOWN_FAILURES:
            self.console.print(f"  ... and {len(failed) - _SHOWN_FAILURES} more; --results writes them all")


def _whom(row: GrantRowResult) -> str:
    return row.email or (ids.show("account", row.account) if row.account else "")


def _why(row: GrantRowResult) -> str:
    return row.problem.detail if row.problem else ""


def _write(file: Path, rows: list[GrantRowResult]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        written = csv.writer(out)
        written.writerow(("row", "account", "email", "credits", "state", "lot", "code", "detail"))
        for row in rows:
            shown = row.model_dump(mode="json")
            code = row.problem.code if row.problem else None
            written.writerow(
                (
                    row.number,
                    *(shown[name] for name in ("account", "email", "credits", "state", "lot")),
                    code,
                    _why(row),
                )
            )


def read_rows(file: Path) -> list[GrantRow]:
    """Read a CSV file with a header: `credits`, and `account` or `email`; `note` if rows have their own.

    Raises UnusableFileError, which names every line that cannot be read.
    """
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, strict=True)
        columns = set(reader.fieldnames or ())
        if not columns <= set(_COLUMNS) or "credits" not in columns or not columns & {"account", "email"}:
            raise UnusableFileError(f"{file}: the first line names the columns, of {', '.join(_COLUMNS)}")
        read = [_read_row(reader.line_num, line) for line in reader]
    wrong = [row for row in read if isinstance(row, str)]
    if wrong:
        raise UnusableFileError("\n".join([f"{file}: nothing was granted", *wrong[:_SHOWN_FAILURES]]))
    rows = [row for row in read if isinstance(row, GrantRow)]
    if not 0 < len(rows) <= LARGEST_GRANT:
        raise UnusableFileError(f"{file}: a grant has 1 to {LARGEST_GRANT} rows, this one {len(rows)}")
    return rows


def _read_row(number: int, line: dict[str, Any]) -> GrantRow | str:
    """Read a line, or say what is wrong with it."""
    try:
        return GrantRow.model_validate({name: value for name, value in line.items() if value})
    except (ValidationError, TypeError) as error:
        what = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "too many columns"}
        where = ".".join(str(part) for part in what["loc"])
        return f"  line {number}: {where}: {what['msg']}"


def key_of(order: BulkGrantOrder) -> str:
    """Name a grant by all that it says, so that it is the same one when it is asked for again."""
    return f"bulk-{hashlib.sha256(order.model_dump_json().encode()).hexdigest()}"


def commands(state: Callable[[], State], console: Console) -> typer.Typer:
    """Make the commands; `state` finds the running stack."""
    app = typer.Typer(no_args_is_help=True, help="Grant credits, to one account or to those in a CSV file.")

    def run(by: str, work: Callable[[Desk], Awaitable[Grant]], results: Path | None = None) -> None:
        async def do() -> bool:
            async with credits_api(state()) as client:
                desk = Desk(client, console, by=by)
                return await desk.report(await work(desk), results)

        if not asyncio.run(do()):
            raise typer.Exit(1)

    _add_asking(app, run)
    _add_deciding(app, run)
    return app


def _add_asking(app: typer.Typer, run: Callable[..., None]) -> None:
    @app.command()
    def one(
        account: str,
        credits: str,
        *,
        note: Note,
        by: By,
        kind: Kind = "granted",
        expires: Expires = None,
        key: Annotated[str, typer.Option(help="makes it the same grant when it is asked for again")] = "",
    ) -> None:
        """Grant credits to one account, at once unless it needs a second person."""
        terms = _terms(note, kind, expires)
        order = GrantOrder.model_validate({"account": account, "credits": credits, **terms})
        run(by, lambda desk: desk.give(order, key=key or uuid4().hex))

    @app.command()
    def bulk(
        file: Path, *, note: Note, by: By, kind: Kind = "granted", expires: Expires = None, results: Results = None
    ) -> None:
        """Grant credits to the accounts in a CSV file; run again after an interruption, it gives nothing twice."""
        order = BulkGrantOrder.model_validate({"rows": read_rows(file), **_terms(note, kind, expires)})
        run(by, lambda desk: desk.give_many(order, key=key_of(order)), results)


def _add_deciding(app: typer.Typer, run: Callable[..., None]) -> None:
    @app.command()
    def show(grant: GrantName, results: Results = None) -> None:
        """Say how far a grant is, and what became of its rows."""
        run("", lambda desk: desk.show(grant), results)

    @app.command()
    def approve(grant: GrantName, by: By) -> None:
        """Let a grant run that waits for a second person."""
        run(by, lambda desk: desk.decide(grant, "approve"))

    @app.command()
    def reject(grant: GrantName, by: By) -> None:
        """Reject a grant that waits for a second person."""
        run(by, lambda desk: desk.decide(grant, "reject"))


def _terms(note: str, kind: str, expires: datetime | None) -> dict[str, object]:
    return {"note": note, "kind": kind, "expires_at": expires.replace(tzinfo=UTC) if expires else None}
