"""The import rules bite: `make verify` keeps them, and here they are broken on purpose, in a copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

BROKEN = {
    "services/credits/domain.py": "import services.payments.domain\nimport asyncpg",
    "services/credits/store.py": "import services.credits.operations\nimport services.credits.settings",
    "services/notifications/domain/messages.py": "import stripe",
    "libs/chassis/clock.py": "import services.credits.domain",
    "libs/contracts/money.py": "import orjson",
    "deploy/examples/video_generator/service.py": "import libs.chassis.clock",
}
CONTRACTS = {
    "Inside a service imports point inward, and there are no other file names",
    "Services meet only through contracts",
    "Products stand on plumbing, plumbing on contracts",
    "Settings are read where a service is put together, and nowhere else",
    "Only payments.clients speaks Stripe",
    "Domain rules do no input or output",
    "Contracts depend on pydantic alone, but for the client",
    "Examples are another team's, and know the contracts alone",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("services", "libs", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(copy: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache", "--no-logo"], cwd=copy, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def broken(said: str) -> set[str]:
    return set(re.findall(r"^(.*) BROKEN$", said, re.MULTILINE))


def test_every_contract_can_be_broken(copy: Path) -> None:
    assert broken(lint(copy)[1]) == set()
    for name, lines in BROKEN.items():
        with (copy / name).open("a") as file:
            file.write(f"\n{lines}\n")
    code, said = lint(copy)
    assert code != 0
    assert broken(said) == CONTRACTS
    assert re.search(r"services\.credits\.domain -> services\.payments\.domain", said)
    assert re.search(r"services\.credits\.store -> services\.credits\.operations", said)


def test_a_file_under_a_name_of_its_own_breaks_the_build(copy: Path) -> None:
    (copy / "services" / "credits" / "helpers.py").touch()
    code, said = lint(copy)
    assert code != 0
    assert "services.credits.helpers" in said
