"""Markdown, as far as the references need it."""

from collections.abc import Iterable, Sequence

MARK = "<!-- Written from the code by `make generate`: changes here are lost. -->"


def page(title: str, *parts: str) -> str:
    """Put a page together from its paragraphs, tables and sections."""
    return "\n\n".join([f"# {title}", MARK, *(part.strip() for part in parts if part.strip())]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; a cell is one line, whatever its text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: object) -> str:
    """Write something as code."""
    return f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
