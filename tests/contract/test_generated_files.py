"""Generated files are what the code says, and the check says so when they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import generate


def test_the_generated_files_are_up_to_date() -> None:
    command = [sys.executable, "-m", "deploy.generate", "--check"]
    done = subprocess.run(command, check=False, cwd=generate.PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_they_are_written_the_same_every_time() -> None:
    assert generate.generated() == generate.generated()


def test_what_is_missing_differs_or_is_left_over_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "PROJECT", tmp_path)
    documents = {tmp_path / "of" / name: f"{name}\n" for name in ("fine", "changed", "missing")}
    generate.write(documents)
    assert generate.differences(documents, [tmp_path]) == []
    (tmp_path / "of" / "changed").write_text("otherwise")
    (tmp_path / "of" / "missing").unlink()
    (tmp_path / "of" / "yore").touch()
    assert generate.differences(documents, [tmp_path]) == [
        "of/changed is out of date",
        "of/missing is out of date",
        "of/yore is generated no more",
    ]
