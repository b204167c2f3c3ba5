"""What people have written leads where it says: links, files, tests, settings, metrics, log lines."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from deploy.generate.documents import PROJECT, REFERENCE

PAGES = [
    PROJECT / "README.md",
    PROJECT / "libs" / "contracts" / "README.md",
    PROJECT / "deploy" / "stripe_sandbox" / "README.md",
    PROJECT / "deploy" / "examples" / "video_generator" / "README.md",
    *sorted(path for path in (PROJECT / "docs").rglob("*.md") if REFERENCE not in path.parents),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))


def quoted(page: Path) -> set[str]:
    """What stands as code in the text, but for blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", text))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page), anchor


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to #{anchor}"


@every_page
def test_files_and_tests_that_are_named_are_there(page: Path) -> None:
    for name in quoted(page):
        if re.match(r"(services|libs|deploy|tests|docs)/[\w./*-]+", name) and "<" not in name:
            path, _, test = name.partition("::")
            assert [*PROJECT.glob(path.rstrip("/"))], f"{page.name} names {path}"
            assert not test or f"def {test}(" in (PROJECT / path).read_text("utf-8"), f"{page.name} names {name}"


@every_page
def test_settings_that_are_named_are_read_by_somebody(page: Path) -> None:
    known = quoted(REFERENCE / "settings.md")
    for name in quoted(page):
        if re.fullmatch(r"(SCRIP|STRIPE)_(<SERVICE>_)?[A-Z_]+", name):
            assert name in known, f"{page.name} names {name}"


@every_page
def test_metrics_that_are_named_are_measured(page: Path) -> None:
    known = quoted(REFERENCE / "metrics.md")
    for name in quoted(page):
        if found := re.match(r"scrip_\w+", name):
            assert found[0].removesuffix("_count") in known | {"scrip_contracts"}, f"{page.name} names {name}"


def test_log_lines_in_the_runbook_are_written_by_somebody() -> None:
    sources = chain.from_iterable((PROJECT / folder).rglob("*.py") for folder in ("services", "libs"))
    code = "\n".join(source.read_text("utf-8") for source in sources)
    lines = {name for name in quoted(PROJECT / "docs" / "runbook.md") if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)}
    lines = {line for line in lines if not line.endswith(".md")}
    assert len(lines) > 10
    assert [line for line in sorted(lines) if f'"{line}"' not in code] == []
