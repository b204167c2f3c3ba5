"""`scrip vouchers`: issued by staff as a CSV file of codes, listed, made void.

The codes are written once. The same key under the same terms is the same batch: a command that was interrupted is run
again with the key that it said, and writes the same codes.
"""

import asyncio
import csv
import getpass
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO
from uuid import uuid4

import typer
from rich.console import Console

from deploy.cli.service_apis import payments_api
from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.http.base import Page, Request
from libs.contracts.http.vouchers_v1 import IssuedVouchers, IssueVouchers, Voucher, VoucherBatch

By = Annotated[str, typer.Option("--by", help="who asks", default_factory=getpass.getuser)]
Run = Callable[[Callable[[ServiceClient], Awaitable[None]]], None]


def commands(state: Callable[[], State], console: Console) -> typer.Typer:
    """Make the commands; `state` finds the running stack."""
    app = typer.Typer(no_args_is_help=True, help="Issue vouchers, list them, make them void.")

    def run(work: Callable[[ServiceClient], Awaitable[None]]) -> None:
        async def do() -> None:
            async with payments_api(state()) as client:
                await work(client)

        asyncio.run(do())

    _add_issuing(app, run)
    _add_listing(app, run, console)
    return app


def _add_issuing(app: typer.Typer, run: Run) -> None:
    @app.command()
    def issue(
        count: int,
        credits: str,
        *,
        note: Annotated[str, typer.Option(help="what they are for")],
        by: By,
        kind: Annotated[str, typer.Option(help="promotional, granted or refunded")] = "promotional",
        expires: Annotated[datetime | None, typer.Option(help="until when they can be redeemed (UTC)")] = None,
        days: Annotated[int | None, typer.Option(help="how long their credits live once redeemed")] = None,
        reference: Annotated[str | None, typer.Option(help="a name of your own")] = None,
        key: Annotated[str, typer.Option(help="makes it the same batch when it is asked for again")] = "",
        out: Annotated[Path | None, typer.Option(help="write the codes to this CSV file, not to the screen")] = None,
    ) -> None:
        """Issue so many vouchers of so many credits each, and write their codes as CSV."""
        expires_at = expires.replace(tzinfo=UTC) if expires else None
        terms = {"kind": kind, "expires_at": expires_at, "credits_expire_after_days": days, "reference": reference}
        order = IssueVouchers.model_validate({"count": count, "credits": credits, "note": note, **terms})

        async def do(client: ServiceClient) -> None:
            name = key or uuid4().hex
            print(f"key {name}: asked for again under it, the same codes are told", file=sys.stderr)
            done = await client.post_once(
                "/voucher-batches", order, IssuedVouchers, caller=f"staff:{by}", idempotency_key=name
            )
            _write(done.answer, out)

        run(do)


def _add_listing(app: typer.Typer, run: Run, console: Console) -> None:
    @app.command("list")
    def show(by: By) -> None:
        """List the newest batches, and what became of them."""

        async def do(client: ServiceClient) -> None:
            asked = {"limit": 100}
            page = await client.get("/voucher-batches", Page[VoucherBatch], params=asked, caller=f"staff:{by}")
            for batch in page.data:
                console.print(_line(batch))

        run(do)

    @app.command()
    def void(
        voucher: Annotated[str, typer.Argument(help="a batch, vbt_..., or a single voucher, vch_...")], by: By
    ) -> None:
        """Make a batch or a voucher void; what is redeemed stays so."""

        async def do(client: ServiceClient) -> None:
            if voucher.startswith("vbt_"):
                path = f"/voucher-batches/{voucher}/void"
                console.print(_line(await client.post(path, Request(), VoucherBatch, caller=f"staff:{by}")))
            else:
                found = await client.post(f"/vouchers/{voucher}/void", Request(), Voucher, caller=f"staff:{by}")
                console.print(f"{voucher}: {found.state}")

        run(do)


def _line(batch: VoucherBatch) -> str:
    name, worth = ids.show("voucher_batch", batch.id), format_credits(batch.credits)
    became = f"{batch.redeemed} redeemed, {batch.void} void"
    return f"{name}: {batch.count} of {worth} credits, {became}; {batch.note} (by {batch.issued_by})"


def _write(issued: IssuedVouchers, out: Path | None) -> None:
    if out is None:
        _write_rows(issued, sys.stdout)
        return
    out.touch(mode=0o600)
    with out.open("w", newline="", encoding="utf-8") as file:
        _write_rows(issued, file)


def _write_rows(issued: IssuedVouchers, file: TextIO) -> None:
    rows = csv.writer(file)
    rows.writerow(("voucher", "code", "credits", "expires_at"))
    batch = issued.batch
    expires_at = batch.expires_at.isoformat() if batch.expires_at else ""
    for voucher in issued.vouchers:
        rows.writerow((ids.show("voucher", voucher.id), voucher.code, format_credits(batch.credits), expires_at))
