"""`scrip grant` as people type it, at a running API: two people, results in a file, many failures."""

import asyncio
import csv
import io
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli.customer import wait_for
from deploy.cli.grants import commands
from deploy.cli.state import State
from deploy.embedded.stack import Addresses
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue, Limits
from libs.contracts.credits import MICRO
from services.credits.operations.grants import work_off
from tests.integration.credits.serving import GATEWAYS_KEY, Api
from tests.support.ledger import CATALOGUE, Credits

Grant = Callable[..., Coroutine[Any, Any, tuple[int, str]]]


@pytest.fixture
def catalogue() -> Catalogue:
    """One of the staff may grant a thousand credits."""
    return CATALOGUE.model_copy(update={"limits": Limits(staff_grant=1000 * MICRO)})


@pytest.fixture
def grant(api: Api, tmp_path: Path) -> Grant:
    """Types `scrip grant ...`: gives the exit code, and what was said."""
    url = str(api.http.base_url).rstrip("/")
    environments = {"gateway": {"SCRIP_GATEWAY_SERVICE_KEY_FILE": str(tmp_path / GATEWAYS_KEY)}}
    state = State(Addresses(url, url, url, url, None, None), environments)

    async def run(*words: str) -> tuple[int, str]:
        console = Console(file=io.StringIO(), width=200)
        typed = await asyncio.to_thread(CliRunner().invoke, commands(lambda: state, console), [*words])
        assert isinstance(console.file, io.StringIO)
        return typed.exit_code, f"{console.file.getvalue()}{typed.exception or ''}"

    return run


def written(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines))
    return file


async def asked(grant: Grant, credits: Credits, folder: Path) -> str:
    """Have Eve ask for more than one may grant alone; gives the grant's id."""
    account = ids.show("account", await credits.open())
    file = written(folder / "grants.csv", "account,credits,note", f"{account},600,For Ada", f"{account},600,")
    code, said = await grant("bulk", str(file), "--note", "Spring", "--by", "eve")
    assert (code, "waiting_for_approval, 1200 credits in 2 rows" in said) == (0, True), said
    found = re.search(r"scrip grant approve (grt_[0-9a-f]+)", said)
    assert found is not None, said
    return found[1]


async def test_another_person_approves_and_sees_it_done(credits: Credits, grant: Grant, tmp_path: Path) -> None:
    name = await asked(grant, credits, tmp_path)
    code, said = await grant("approve", name, "--by", "eve")
    assert (code, "Another person" in said) == (1, True), said
    approving = asyncio.create_task(grant("approve", name, "--by", "adam"))
    assert await wait_for(lambda: work_off(credits.pool, credits.ledger)) == 2
    code, said = await approving
    assert (code, "completed" in said, "2 granted, 0 failed" in said) == (0, True, True), said
    code, said = await grant("show", name, "--results", str(tmp_path / "results.csv"))
    assert (code, "completed" in said) == (0, True), said
    with (tmp_path / "results.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["row"], row["credits"], row["state"], row["lot"][:4]) for row in rows] == [
        ("1", "600", "granted", "lot_"),
        ("2", "600", "granted", "lot_"),
    ]


async def test_what_another_person_rejects_gives_nothing_and_stays_so(
    credits: Credits, grant: Grant, tmp_path: Path
) -> None:
    name = await asked(grant, credits, tmp_path)
    assert "waiting_for_approval" in (await grant("show", name))[1]
    code, said = await grant("reject", name, "--by", "adam")
    assert (code, "rejected" in said) == (0, True), said
    code, said = await grant("approve", name, "--by", "adam")
    assert (code, "rejected" in said) == (1, True), said
    assert await work_off(credits.pool, credits.ledger) == 0


async def test_the_first_failures_are_said_and_all_of_them_written(
    credits: Credits, grant: Grant, tmp_path: Path
) -> None:
    results = tmp_path / "results.csv"
    file = written(tmp_path / "grants.csv", "email,credits", *(f"nobody{n}@example.com,1" for n in range(130)))
    granting = asyncio.create_task(
        grant("bulk", str(file), "--note", "Spring", "--by", "eve", "--results", str(results))
    )
    assert await wait_for(lambda: work_off(credits.pool, credits.ledger)) == 130
    code, said = await granting
    assert code == 1
    assert said.count("PAY028") == 20
    assert "... and 110 more" in said
    with results.open() as lines:
        assert [row["email"] for row in csv.DictReader(lines)] == [f"nobody{n}@example.com" for n in range(130)]


async def test_one_grant_under_a_key_is_given_once_as_it_was_asked_for(credits: Credits, grant: Grant) -> None:
    account = await credits.open()
    terms = ["--note", "Sorry", "--kind", "promotional", "--expires", "2099-01-01", "--key", "one", "--by", "eve"]
    said = [await grant("one", ids.show("account", account), "5", *terms) for _ in range(2)]
    assert said[0] == said[1]
    assert (said[0][0], "completed, 5 credits in 1 rows" in said[0][1]) == (0, True), said
    balance = await credits.balance(account)
    assert balance.by_kind == {"promotional": 15 * MICRO}
    assert balance.next_expiry is not None
    assert balance.next_expiry.at.isoformat() == "2099-01-01T00:00:00+00:00"


async def test_a_grant_that_nobody_made_is_not_there(grant: Grant) -> None:
    for verb, *by in (("show",), ("approve", "--by", "adam"), ("reject", "--by", "adam")):
        code, said = await grant(verb, ids.show("grant", ids.new_id()), *by)
        assert code == 1, said
