"""`scrip rejected`: usage that was rejected; listed, corrected, burnt after all."""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.cli.service_apis import credits_api
from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.http.base import Page
from libs.contracts.http.rejections_v1 import Rejection, ReplayOrder

Account = Annotated[str | None, typer.Option(help="of this account alone, acc_...")]
Code = Annotated[str | None, typer.Option(help="rejected for this reason alone, such as PAY001")]
By = Annotated[str, typer.Option("--by", help="who has it burnt", default_factory=getpass.getuser)]
Property = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        help="name=value; all it shall have, instead of its own. Whole numbers, true and false are what they look "
        """like; in quotes they are text: --property 'model="4"'""",
    ),
]


async def found(client: ServiceClient, *, account: str | None, code: str | None) -> AsyncIterator[Rejection]:
    """Find usage that was rejected and is not burnt yet, newest first."""
    cursor: str | None = None
    while True:
        asked = {"state": "open", "limit": 100, "account": account, "code": code, "cursor": cursor}
        page = await client.get("/rejected-usage", Page[Rejection], params=asked)
        for each in page.data:
            yield each
        cursor = page.next_cursor
        if cursor is None:
            return


async def replay(client: ServiceClient, id: str, order: ReplayOrder, *, by: str) -> Rejection:
    """Have it burnt, as it came or corrected. Raises DomainError."""
    return await client.post(f"/rejected-usage/{id}/replay", order, Rejection, caller=f"staff:{by}")


def correction(meter: str | None, quantity: str | None, properties: Sequence[str] | None) -> ReplayOrder:
    """Read what shall be otherwise: numbers, true and false as what they look like, unless quoted; all else as text.

    Raises BadParameter for quotes that do not end.
    """
    said: dict[str, Any] = {"meter": meter, "quantity": quantity}
    if properties is not None:
        said["properties"] = {name: _value(value) for name, _, value in (each.partition("=") for each in properties)}
    return ReplayOrder.model_validate({name: value for name, value in said.items() if value is not None})


def _value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"'):
        return _unquoted(text)
    return int(text) if text.removeprefix("-").isdecimal() else text


def _unquoted(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is not text in quotes, as JSON has it") from error
    return str(found)


def commands(state: Callable[[], State], console: Console) -> typer.Typer:
    """Make the commands; `state` finds the running stack."""
    app = typer.Typer(
        no_args_is_help=True, help="Usage that was rejected: list it, correct it, have it burnt after all."
    )

    @app.command("list")
    def show(account: Account = None, code: Code = None) -> None:
        """List what is not burnt yet, newest first."""

        async def do() -> None:
            async with credits_api(state()) as client:
                async for each in found(client, account=account, code=code):
                    console.print(told(each))

        asyncio.run(do())

    @app.command("replay")
    def burn(
        id: str,
        *,
        by: By,
        meter: Annotated[str | None, typer.Option(help="another kind of usage than it says")] = None,
        quantity: Annotated[str | None, typer.Option(help="another quantity than it says")] = None,
        properties: Property = None,
    ) -> None:
        """Have it burnt, as it came or corrected, by the prices of its own time; once."""
        order = correction(meter, quantity, properties)

        async def do() -> None:
            async with credits_api(state()) as client:
                done = await replay(client, id, order, by=by)
            console.print(told(done))

        asyncio.run(do())

    return app


def told(each: Rejection) -> str:
    """Say what was rejected and why, and how it was burnt if it was."""
    what = f"{each.at:%Y-%m-%d %H:%M} {ids.show('account', each.account)} {each.meter} {each.source} {each.event_id}"
    said = f"{each.id}\n  {what}\n  {each.code} {each.detail}"
    if each.replay is not None:
        transaction = ids.show("transaction", each.replay.transaction)
        said += f"\n  burnt: {format_credits(each.replay.credits)} credits, {transaction}, by {each.replay.by}"
    return said
