"""The page of incidents names, for each, a test that pytest finds; or says what it comes with."""

import re
import subprocess
import sys

from deploy.embedded.settings import PROJECT

PAGE = PROJECT / "docs" / "architecture" / "incidents.md"
LAST = 22
LATER = "comes with subscriptions"


def rows() -> dict[int, tuple[str, list[str]]]:
    """Read what is done about each incident, and the tests that prove it."""
    lines = re.findall(r"^\| (\d+) \|[^|]+\|([^|]+)\|([^|]*)\|$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {int(number): (done.strip(), re.findall(r"`(tests/[^`]+)`", proof)) for number, done, proof in lines}


def test_every_incident_has_a_test_or_comes_later() -> None:
    found = rows()
    assert list(found) == list(range(1, LAST + 1))
    assert [number for number, (done, tests) in found.items() if bool(tests) == (done == LATER)] == []


def test_every_test_that_is_named_is_one_that_pytest_collects() -> None:
    named = {test for _, tests in rows().values() for test in tests}
    files = sorted({test.partition("::")[0] for test in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    collected = {line.partition("[")[0] for line in listed.splitlines() if "::" in line}
    assert named - collected == set()
