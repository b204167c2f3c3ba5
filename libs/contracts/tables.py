"""Rows as CSV: what an answer has as JSON, in columns of the same names. What is null is empty."""

import csv
from collections.abc import Iterable
from typing import TextIO

from pydantic import BaseModel


class CsvRows:
    """Writes rows of one model below its header, as they come."""

    def __init__(self, row: type[BaseModel], file: TextIO) -> None:
        self._csv = csv.DictWriter(file, list(row.model_fields), lineterminator="\n")
        self._csv.writeheader()

    def write(self, rows: Iterable[BaseModel]) -> None:
        """Write some more."""
        self._csv.writerows(row.model_dump(mode="json") for row in rows)
