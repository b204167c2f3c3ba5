"""Generated files are what the code says, and the check says so when they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.generate import documents, states
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


def test_a_page_without_a_place_for_the_diagram_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "payments.md"
    page.write_text("# Payments\n")
    monkeypatch.setattr(states, "PAGE", page)
    with pytest.raises(ValueError, match="has no diagram"):
        states.documents()
