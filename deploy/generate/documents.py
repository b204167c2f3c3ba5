"""Documents that are written from the code, and how one that is out of date is found."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
SCHEMAS = PROJECT / "libs" / "contracts" / "schemas"
REFERENCE = PROJECT / "docs" / "reference"

Documents = Mapping[Path, str]
"""What is to stand in which file."""


def to_json(document: Mapping[str, Any]) -> str:
    """Write a document such that the same content is the same text."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(documents: Documents, folders: Iterable[Path]) -> list[str]:
    """Say what is out of date: files that are missing or differ, and files in the folders that nobody generates."""
    there = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    stale = [path for path, text in documents.items() if not path.is_file() or path.read_text("utf-8") != text]
    return sorted(
        [f"{path.relative_to(PROJECT)} is out of date" for path in stale]
        + [f"{path.relative_to(PROJECT)} is generated no more" for path in there - documents.keys()]
    )


def write(documents: Documents) -> None:
    """Put the documents where they belong."""
    for path, text in documents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
