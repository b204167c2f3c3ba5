"""Generated files are what the code says, and the check says so when they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.generate import documents, pages
from deploy.generate.__main__ import generated


def test_the_generated_files_are_up_to_date() -> None:
    command = [sys.executable, "-m", "deploy.generate", "--check"]
    done = subprocess.run(command, check=False, cwd=documents.PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_they_are_written_the_same_every_time() -> None:
    assert generated() == generated()


def test_what_is_missing_differs_or_is_left_over_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "PROJECT", tmp_path)
    written = {tmp_path / "of" / name: f"{name}\n" for name in ("fine", "changed", "missing")}
    documents.write(written)
    assert documents.differences(written, [tmp_path]) == []
    (tmp_path / "of" / "changed").write_text("otherwise")
    (tmp_path / "of" / "missing").unlink()
    (tmp_path / "of" / "yore").touch()
    assert documents.differences(written, [tmp_path]) == [
        "of/changed is out of date",
        "of/missing is out of date",
        "of/yore is generated no more",
    ]


def test_a_page_keeps_its_words_and_has_its_blocks_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    begin, end = "<!-- facts: written by `make generate` -->", "<!-- end of facts -->"
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "_BLOCKS", {"page.md": {"facts": lambda: "now"}})
    page.write_text(f"before\n{begin}\n\nthen\n\n{end}\nafter\n")
    assert pages.documents() == {page: f"before\n{begin}\n\nnow\n\n{end}\nafter\n"}
    page.write_text("before and after\n")
    with pytest.raises(ValueError, match="no place for its block"):
        pages.documents()
