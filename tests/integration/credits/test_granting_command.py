"""`scrip grant` at a running API: what it reads, shows, and does again after an interruption."""

import csv
import io
from asyncio import CancelledError, create_task
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from deploy.cli.customer import wait_for
from deploy.cli.grants import Desk, UnusableFileError, key_of, read_rows
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.grants_v1 import BulkGrantOrder
from services.credits.operations.grants import work_off
from tests.integration.credits.serving import Api
from tests.support.ledger import Credits


@pytest.fixture
async def desk(api: Api) -> AsyncIterator[Desk]:
    """Where Eve asks for grants; what is said goes to `said`."""
    client = ServiceClient("credits", base_url=str(api.http.base_url), signer=api.signer)
    yield Desk(client, Console(file=io.StringIO(), width=200), by="eve")
    await client.stop()


def said(desk: Desk) -> str:
    file = desk.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def order_of(file: Path) -> BulkGrantOrder:
    return BulkGrantOrder.model_validate({"rows": read_rows(file), "note": "Sorry"})


async def test_a_file_is_granted_by_and_every_row_reported(credits: Credits, desk: Desk, tmp_path: Path) -> None:
    account, nobody = await credits.open(), ids.new_id()
    file, results = tmp_path / "grants.csv", tmp_path / "results.csv"
    names = [ids.show("account", id) for id in (account, nobody)]
    file.write_text(f"account,credits,email,note\n{names[0]},2.5,,For you\n{names[1]},1,,\n,1,x@example.com,\n")
    order = order_of(file)
    granting = create_task(desk.give_many(order, key=key_of(order)))
    await wait_for(lambda: work_off(credits.pool, credits.ledger))
    assert await desk.report(await granting, results) is False
    assert "1 granted, 2 failed" in said(desk)
    assert f"row 2: {names[1]}: PAY028" in said(desk)
    with results.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["row"], row["state"], row["code"]) for row in rows] == [
        ("1", "granted", ""),
        ("2", "failed", "PAY028"),
        ("3", "failed", "PAY028"),
    ]
    assert await credits.available(account) == 12_500_000


async def test_the_same_file_after_an_interruption_goes_on_and_gives_nothing_twice(
    credits: Credits, desk: Desk, tmp_path: Path
) -> None:
    account = await credits.open()
    file = tmp_path / "grants.csv"
    file.write_text("account,credits\n" + f"{ids.show('account', account)},0.01\n" * 700)
    order = order_of(file)
    interrupted = create_task(desk.give_many(order, key=key_of(order)))
    assert await wait_for(lambda: work_off(credits.pool, credits.ledger)) == 500
    interrupted.cancel()
    with pytest.raises(CancelledError):
        await interrupted
    again = create_task(desk.give_many(order_of(file), key=key_of(order_of(file))))
    assert await wait_for(lambda: work_off(credits.pool, credits.ledger)) == 200
    once_more = await desk.give_many(order, key=key_of(order))
    assert (await again).id == once_more.id
    assert await desk.report(once_more) is True
    assert "completed, 7 credits in 700 rows" in said(desk)
    assert await credits.available(account) == 17 * MICRO


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names the columns"),
        ("account\nacc_1\n", "names the columns"),
        ("account,credits,colour\n", "names the columns"),
        ("account,credits\n", "1 to 10000 rows"),
        ("account,credits\nacc_1,5\n", "line 2: account"),
        ("email,credits\nx@example.com,5\nx@example.com,five\n", "line 3: credits"),
        ("email,credits\n,5\n", "line 2"),
        ("email,credits\nx@example.com,5,6\n", "line 2"),
    ],
)
async def test_a_file_that_cannot_be_read_grants_nothing_and_says_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "grants.csv"
    file.write_text(text)
    with pytest.raises(UnusableFileError, match=complaint):
        read_rows(file)
