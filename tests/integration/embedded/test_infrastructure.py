import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from deploy.embedded.claim import AlreadyRunningError, stop_running
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.jars import JarUnavailableError
from deploy.embedded.processes import ProcessFailedError
from deploy.embedded.settings import PROJECT
from tests.integration.embedded.conftest import local_settings, quiet
from tests.integration.embedded.waiting import until_gone


class Program:
    """`python -m deploy.embedded` as a user runs it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    @classmethod
    async def run(cls, folder: Path, *arguments: str, **given: str) -> "Program":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SCRIP_")}
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "deploy.embedded", *arguments),
                cwd=PROJECT,
                env={**environment, "SCRIP_DATA": str(folder / "data"), **given},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        )

    async def says(self, words: str) -> None:
        """Wait until it says so; fails if it ends before."""
        assert self.process.stdout
        while words not in self.said:
            line = (await self.process.stdout.readline()).decode()
            assert line, f"ended without saying {words!r}: {self.said}"
            self.said += line

    async def ends(self) -> int:
        assert self.process.stdout
        self.said += (await self.process.stdout.read()).decode()
        return await self.process.wait()

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


@asynccontextmanager
async def running(folder: Path, **given: str) -> AsyncIterator[Program]:
    program = await Program.run(folder, **given)
    await program.says("Ctrl-C stops all")
    yield program
    stop_running(folder / "data", patience_s=5)
    await program.ends()


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Program]:
    """The program with all its servers."""
    async with running(tmp_path) as program:
        yield program


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """The program with two of its servers, the quick ones."""
    async with running(tmp_path, SCRIP_KAFKA="unused", SCRIP_SMTP_URL="smtp://unused") as program:
        yield program


async def test_all_servers_die_with_their_parent_whatever_kills_it_and_the_next_start_works(
    tmp_path: Path, everything: Program
) -> None:
    children = everything.children()
    assert {"postgres", "valkey-server", "java"} <= {psutil.Process(child).name() for child in children}
    everything.process.kill()
    await until_gone(*children)
    await everything.ends()
    async with Infrastructure(local_settings(tmp_path), say=quiet) as again:
        assert await again.broker.cluster_id()


async def test_leftovers_of_a_crashed_run_are_ended_by_the_next_start(tmp_path: Path, program: Program) -> None:
    """A paused server does not obey the signal of its parent's death before it goes on; the next start ends it."""
    record = tmp_path / "data" / "run" / "postgres.json"
    leftover = psutil.Process(next(child for child in program.children() if f'"pid": {child},' in record.read_text()))
    leftover.suspend()
    program.process.kill()
    await program.ends()
    async with Infrastructure(local_settings(tmp_path, kafka="unused", smtp_url="smtp://unused"), say=quiet) as again:
        await until_gone(leftover.pid)
        await (await asyncpg.connect(again.database_url)).close()


async def test_an_interrupt_stops_all_in_order(everything: Program) -> None:
    await ends_in_order(everything, signal.SIGINT)


async def test_a_request_to_end_stops_all_in_order(program: Program) -> None:
    await ends_in_order(program, signal.SIGTERM)


async def ends_in_order(program: Program, interrupt: signal.Signals) -> None:
    children = program.children()
    program.process.send_signal(interrupt)
    assert await program.ends() == 0
    assert "Stopped." in program.said
    assert not any(map(psutil.pid_exists, children))


async def test_an_interrupt_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    program = await Program.run(tmp_path)
    await program.says("Starting PostgreSQL")
    while not (children := program.children()):  # noqa: ASYNC110  # of another process
        await asyncio.sleep(0.001)
    program.process.send_signal(signal.SIGINT)
    assert await program.ends() == 0
    await until_gone(*children)
    assert list((tmp_path / "data" / "run").iterdir()) == []


async def test_a_second_start_in_the_same_folder_says_who_is_there(tmp_path: Path, program: Program) -> None:
    second = await Program.run(tmp_path)
    assert await second.ends() == 1
    assert f"already run in {tmp_path / 'data'} (process {program.process.pid})" in second.said
    third = Infrastructure(local_settings(tmp_path), say=quiet)
    with pytest.raises(AlreadyRunningError):
        await third.start()
    await third.stop()
    assert (tmp_path / "data" / "run" / "postgres.json").exists()  # still on record for the first


async def test_another_shell_can_stop_it(tmp_path: Path, program: Program) -> None:
    down = await Program.run(tmp_path, "down")
    assert await down.ends() == 0
    assert await program.ends() == 0
    assert "Stopped." in down.said
    again = await Program.run(tmp_path, "down")
    await again.ends()
    assert "Nothing runs" in again.said


async def test_a_server_that_dies_ends_the_program_with_its_reason(program: Program) -> None:
    valkey = next(child for child in program.children() if psutil.Process(child).name() == "valkey-server")
    children = program.children()
    os.kill(valkey, signal.SIGKILL)
    assert await program.ends() == 1
    assert "valkey ended" in program.said
    await until_gone(*children)


async def test_data_survives_a_stop_and_a_start_on_other_ports(tmp_path: Path) -> None:
    settings = local_settings(tmp_path, smtp_url="smtp://unused")
    async with Infrastructure(settings, say=quiet) as first:
        connection = await asyncpg.connect(first.database_url)
        await connection.execute("CREATE TABLE note AS SELECT 42 AS answer")
        await connection.close()
        cluster = await first.broker.cluster_id()
        async with Redis.from_url(first.redis_url) as redis:
            await redis.set("key", "value")
    async with Infrastructure(settings, say=quiet) as second:
        connection = await asyncpg.connect(second.database_url)
        assert await connection.fetchval("SELECT answer FROM note") == 42
        await connection.close()
        assert await second.broker.cluster_id() == cluster
        async with Redis.from_url(second.redis_url) as redis:
            assert await redis.get("key") == b"value"
    assert first.environment() != second.environment()


async def test_servers_whose_addresses_are_given_are_used_and_not_started(
    tmp_path: Path, local: Infrastructure
) -> None:
    lines: list[str] = []
    given = {
        "database_url": local.database_url,
        "kafka": local.kafka,
        "redis_url": local.redis_url,
        "smtp_url": local.smtp_url,
    }
    async with Infrastructure(local_settings(tmp_path, **given), say=lines.append) as infrastructure:
        assert infrastructure.environment() == local.environment()
        assert infrastructure.mailbox_url is None
        assert infrastructure.processes() == []
    assert lines[0].startswith("Starting nothing")


async def test_one_line_says_what_is_waited_for_and_one_how_long_it_took(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = local_settings(tmp_path, kafka="unused", smtp_url="smtp://unused")
    async with Infrastructure(settings, say=lines.append):
        waiting, ready = lines
    assert waiting == f"Starting PostgreSQL, Valkey in {tmp_path / 'data'}"
    assert ready.startswith("Ready in ")
    assert "(PostgreSQL " in ready


async def test_a_server_that_cannot_start_takes_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "valkey" / "valkey.conf").mkdir(parents=True)
    infrastructure = Infrastructure(local_settings(tmp_path), say=quiet)
    with pytest.raises(IsADirectoryError):
        await infrastructure.start()
    assert not any(process.running for process in infrastructure.processes())


async def test_without_jars_and_a_way_to_them_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no mvn
    settings = local_settings(
        tmp_path, cache=str(tmp_path / "cache"), maven_repository="http://127.0.0.1:1", smtp_url="smtp://unused"
    )
    infrastructure = Infrastructure(settings, say=quiet)
    with pytest.raises(JarUnavailableError, match="SCRIP_MAVEN_REPOSITORY"):
        await infrastructure.start()
    assert not any(process.running for process in infrastructure.processes())


async def test_watching_notices_a_server_that_dies(tmp_path: Path) -> None:
    settings = local_settings(tmp_path, kafka="unused", smtp_url="smtp://unused")
    async with Infrastructure(settings, say=quiet) as infrastructure:
        watching = asyncio.ensure_future(infrastructure.watch())
        infrastructure.postgres.process.send(signal.SIGINT)
        with pytest.raises(ProcessFailedError, match="postgres ended"):
            await watching


def test_the_secret_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    Infrastructure(local_settings(tmp_path), say=quiet)
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
