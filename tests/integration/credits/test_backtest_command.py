"""`scrip backtest` on a ledger: what it reads, prints, writes and draws."""

import csv
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from rich.console import Console

from deploy.cli import __main__ as cli
from deploy.cli.backtest import Files, read_prices, run
from deploy.cli.grants import UnusableFileError
from deploy.cli.state import State
from deploy.embedded.stack import Addresses
from libs.contracts import ids
from services.credits.operations.backtests import Asked
from tests.support.databases import ServicePool
from tests.support.ledger import CATALOGUE, Credits, used

SINCE = datetime(2000, 1, 1, tzinfo=UTC)
DRAFT = """\
# a comment
name: whatever
price_book:
  version: draft-7
  meters:
    credit: {unit: credit, prices: [{credits: "1.5"}]}
    video:
      unit: minute
      properties:
        resolution: {type: text, values: [1080p]}
      prices:
        - credits: "8"
"""


@pytest.fixture
def state(credits: Credits, service_pool: ServicePool) -> State:
    settings = {"SCRIP_CREDITS_DATABASE_URL": service_pool.urls("credits").app_url}
    nowhere = Addresses(gateway="", payments="", credits="", notifications="", stripe=None, mailbox=None)
    return State(nowhere, {"credits": settings})


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    file = tmp_path / "draft.yaml"
    file.write_text(DRAFT)
    return file


async def said(state: State, draft: Path, files: Files | None = None, *, terminal: bool = False, **asked: Any) -> str:
    written = io.StringIO()
    console = Console(file=written, width=160, force_terminal=terminal)
    await run(state, console, read_prices(draft), Asked(**({"since": SINCE} | asked)), files or Files())
    return written.getvalue()


async def use_something(credits: Credits) -> tuple[str, str]:
    """Have one account use what stays as it is, another what becomes dearer and what the draft refuses."""
    same, dearer = await credits.open(), await credits.open()
    await credits.use(
        used(same, "video", 1, resolution="1080p"),
        used(dearer, "credit", 4),
        used(dearer, "video", 1, resolution="720p"),
        used(dearer, "credit", 4),
        used(dearer, "unheard_of"),
    )
    return ids.show("account", same), ids.show("account", dearer)


async def test_the_console_says_what_changes_by_meter_and_account_and_what_is_refused(
    credits: Credits, state: State, draft: Path
) -> None:
    _, dearer = await use_something(credits)
    printed = await said(state, draft, account=ids.read("account", dearer))
    assert "since 2000-01-01 00:00 (UTC), by draft-7" in printed
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert ["credit", "1", "4", "6", "2", "+50.0", "0"] in rows
    assert ["video", "1", "5", "0", "-5", "-100.0", "1"] in rows
    assert ["all, of 1 accounts", "2", "9", "6", "-3", "-33.3", "1"] in rows
    assert '1 usages, charged 5 then, would be refused: "video": property "resolution": "720p" is none of' in printed
    assert "1 usages of credit were refused (PAY001); the draft has a price for them" in printed
    assert "1 usages of unheard_of were refused (PAY021); the draft refuses them: the price book has no" in printed
    assert "would pay at least" not in printed


async def test_accounts_that_would_pay_much_more_are_named(credits: Credits, state: State, draft: Path) -> None:
    dear = await credits.open()
    await credits.use(used(dear, "credit", 4))
    assert "accounts would pay at least 51 % more" not in await said(state, draft, dearer_by=51)
    printed = await said(state, draft, dearer_by=50)
    assert "1 accounts would pay at least 50 % more; the largest:" in printed
    assert ids.show("account", dear) in printed


async def test_the_files_have_every_account_and_every_meter(
    credits: Credits, state: State, draft: Path, tmp_path: Path
) -> None:
    same, dearer = await use_something(credits)
    files = Files(tmp_path / "all.csv", tmp_path / "all.json", tmp_path / "all.svg")
    await said(state, draft, files)
    with (tmp_path / "all.csv").open() as lines:
        rows = {(row["account"], row["meter"]): row for row in csv.DictReader(lines)}
    assert rows.keys() == {(same, "video"), (dearer, "video"), (dearer, "credit")}
    assert (rows[dearer, "credit"]["charged"], rows[dearer, "credit"]["draft"]) == ("4", "6")
    document = json.loads((tmp_path / "all.json").read_text())
    assert {row["account"]: row["difference"] for row in document["accounts"]} == {same: "0", dearer: "-3"}
    assert (document["book"], document["total"]["draft"], document["bands"]["the same"]) == ("draft-7", "14", 1)
    assert document["refusals"][0]["usages"] == 1
    assert {row["code"] for row in document["refused_before"]} == {"PAY001", "PAY021"}
    drawn = ET.fromstring((tmp_path / "all.svg").read_text())
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"video", "credit", "the same"} <= set(texts)
    assert "Backtest of draft-7: 14 credits, not 17 (-17.6 %)" in texts


async def test_a_journal_without_usage_makes_empty_files(state: State, draft: Path, tmp_path: Path) -> None:
    files = Files(tmp_path / "all.csv", tmp_path / "all.json", tmp_path / "all.svg")
    assert "Accounts by the change of what they would pay: none" in await said(state, draft, files)
    assert json.loads((tmp_path / "all.json").read_text())["accounts"] == []
    ET.fromstring((tmp_path / "all.svg").read_text())


async def test_a_terminal_sees_how_far_it_is(credits: Credits, state: State, draft: Path) -> None:
    await use_something(credits)
    printed = await said(state, draft, terminal=True)
    assert "credits: recorded usage" in printed
    assert "5/5" in printed


async def test_a_file_that_cannot_be_written_is_named_before_anything_is_read(
    state: State, draft: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnusableFileError, match=r"nowhere/all\.csv cannot be written"):
        await said(state, draft, Files(csv=tmp_path / "nowhere" / "all.csv"))


def test_a_file_may_be_a_book_itself_in_yaml_or_json(tmp_path: Path) -> None:
    book = CATALOGUE.price_book.model_dump(mode="json", exclude_none=True)
    for name, text in (("book.yaml", yaml.safe_dump(book)), ("book.json", json.dumps(book))):
        (tmp_path / name).write_text(text)
        assert read_prices(tmp_path / name).version == "test-1"


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ('credits: "8"', 'when: resolution > 5\n          credits: "8"', "line 12: at character 12: found no matching"),
        ('credits: "8"', "credits: 8", "line 12: meters.video.prices.0.credits"),
        ("values: [1080p]", "values: []", r"line 10: meters.video.properties.resolution.text.values"),
        ("unit: minute", "unite: minute", "line 7: meters.video.unit: Field required"),
        ("version: draft-7", "version: [", "cannot be read"),
        (DRAFT, "", "line 1: "),
        (DRAFT, "1: 2", "line 1: version: Field required"),
    ],
)
def test_a_wrong_book_is_refused_with_file_line_and_reason(draft: Path, right: str, wrong: str, complaint: str) -> None:
    draft.write_text(DRAFT.replace(right, wrong))
    with pytest.raises(UnusableFileError, match=rf"{draft.name},? .*{complaint}"):
        read_prices(draft)


def test_a_wrong_book_is_told_in_words_before_a_stack_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, draft: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft.write_text("version: 1")
    monkeypatch.setattr(sys, "argv", ["scrip", "backtest", "--book", str(draft), "--since", "2026-10-01"])
    with pytest.raises(SystemExit, match="line 1: version: Input should be a valid string"):
        cli.main()


def test_an_account_that_is_none_is_told_of(
    monkeypatch: pytest.MonkeyPatch, draft: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--book", str(draft), "--since", "2026-10-01", "--account", "user_1"]
    monkeypatch.setattr(sys, "argv", ["scrip", "backtest", *asked])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--account" in capsys.readouterr().err
