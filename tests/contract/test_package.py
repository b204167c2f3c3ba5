"""Other teams install the contracts alone: the wheel, in an environment of its own, far from this repository."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.broker.topics import ensure
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.ids import new_id, show
from libs.contracts.topics import ALL
from tests.contract.test_usage_over_kafka import read

PROJECT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

IMPORTS_EVERYTHING_BUT_THE_CLIENT = """
import importlib, importlib.metadata, json, pkgutil
import scrip_contracts
for module in pkgutil.walk_packages(scrip_contracts.__path__, "scrip_contracts."):
    if not module.name.startswith("scrip_contracts.client."):
        importlib.import_module(module.name)
from importlib.resources import files
from scrip_contracts.envelope import CloudEvent
from scrip_contracts.events import BY_TYPE
examples = [CloudEvent.decode(file.read_bytes()) for file in files("scrip_contracts").joinpath("examples").iterdir()]
print(json.dumps({
    "where": scrip_contracts.__file__,
    "installed": sorted(distribution.name for distribution in importlib.metadata.distributions()),
    "understood": sorted(type(BY_TYPE[e.type].of(e)).__name__ for e in examples if e.type in BY_TYPE),
    "schemas": sorted(file.name for file in files("scrip_contracts").joinpath("schemas/events").iterdir()),
}))
"""

WANTS_THE_CLIENT = """
from scrip_contracts.client import UsageClient
try:
    UsageClient.kafka("127.0.0.1:9092", source="/test")
except ImportError as error:
    print(error)
"""

REPORTS_USAGE = """
import asyncio, sys
from pathlib import Path
from scrip_contracts.client import CreditsClient, UsageClient
async def main(servers, source, account):
    async with CreditsClient("http://127.0.0.1:9", "scrip_sk_test") as credits:
        credits.hold(account, amount="1")
    async with UsageClient.kafka(servers, source=source, spool=Path("spool")) as client:
        print(await client.usage(account, "video.generation", "4.2", {"resolution": "1080p"}))
asyncio.run(main(*sys.argv[1:]))
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment_with(requirement: str, folder: Path) -> Path:
    """Make an environment with the requirement in the versions of our lock; returns its Python."""
    run(UV, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    lock = PROJECT / "locks" / "all.txt"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", lock, requirement, cwd=folder.parent)
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built by the locked builder."""
    out = tmp_path_factory.mktemp("wheel")
    source = PROJECT / "libs" / "contracts"
    run(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", out, source, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_the_base_package_needs_pydantic_alone_and_brings_schemas_and_examples(wheel: Path, tmp_path: Path) -> None:
    python = environment_with(str(wheel), tmp_path / "base")
    told: dict[str, Any] = json.loads(run(python, "-I", "-c", IMPORTS_EVERYTHING_BUT_THE_CLIENT, cwd=tmp_path))
    assert told["where"].startswith(str(tmp_path / "base"))
    needs = {"annotated-types", "pydantic", "pydantic_core", "typing-inspection", "typing_extensions"}
    assert set(told["installed"]) == {"scrip-contracts", *needs}
    assert "PaymentSucceeded" in told["understood"]
    assert "scrip.usage.v1.json" in told["schemas"]
    assert run(python, "-I", "-c", WANTS_THE_CLIENT, cwd=tmp_path) == (
        "the client needs aiokafka: install scrip-contracts[client]\n"
    )


async def test_the_client_of_the_package_reports_usage_through_kafka(
    wheel: Path, tmp_path: Path, infrastructure: Infrastructure
) -> None:
    python = environment_with(f"{wheel}[client]", tmp_path / "client")
    await ensure(infrastructure.kafka, ALL, replication=1)
    source, account = f"/test/{new_id()}", show("account", new_id())
    id = run(python, "-I", "-c", REPORTS_USAGE, infrastructure.kafka, source, account, cwd=tmp_path).strip()
    (record,) = await read(infrastructure.kafka, source, 1)
    event = CloudEvent.decode(record.value)
    assert (event.id, event.type, event.subject) == (id, "video.generation", account)
    assert UsageData.model_validate(event.data) == UsageData.model_validate(
        {"quantity": "4.2", "properties": {"resolution": "1080p"}}
    )
