"""A service as an operator meets it: a process with settings, signals, logs, and an end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from urllib.parse import urlsplit

import httpx2
import pytest

from deploy.embedded.databases import SERVICES
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT
from tests.integration.chassis.database import Database
from tests.integration.chassis.desk import Desk
from tests.integration.chassis.kafka import Feed, envelope, own_topic
from tests.integration.chassis.waiting import until

MODULE = "tests.integration.chassis.example"


@dataclass
class Example:
    """The example service's process, and what surrounds it."""

    process: Process
    address: str
    database: Database
    feed: Feed
    told: Feed
    gate: Path

    async def start(self, role: str = "all", **environment: str) -> None:
        """Start it in a role and wait until it is ready."""
        self.process.ready = lambda: answers(f"{self.address}/readyz")
        await self._launch(role, environment)

    async def die_at(self, point: str) -> None:
        """Start a worker, and wait until it has reached the point at which it is to die."""
        self.process.ready = _at_once
        await self._launch("worker", {"SCRIP_FAIL_POINT": point})
        assert await self.process.ended() == -signal.SIGKILL

    async def _launch(self, role: str, environment: dict[str, str]) -> None:
        self.process.argv = [sys.executable, "-m", MODULE, role]
        self.process.env = {**self.process.env, "SCRIP_FAIL_POINT": "", **environment}
        await self.process.start()

    def logged(self, words: str) -> int:
        """Count what it logged, of all its lives."""
        return self.process.log.read_text().count(words)


async def _at_once() -> bool:
    return True


@pytest.fixture
async def example(
    infrastructure: Infrastructure, database: Database, feed: Feed, session_ms: int, tmp_path: Path
) -> AsyncIterator[Example]:
    told = await Feed.open(infrastructure.kafka, own_topic(partitions=1))
    (port,) = free_ports(1)
    gate = tmp_path / "gate"
    environment = {
        "SCRIP_EXAMPLE_DATABASE_URL": database.url,
        "SCRIP_EXAMPLE_PORT": str(port),
        "SCRIP_EXAMPLE_GATE": str(gate),
        "SCRIP_EXAMPLE_TOPIC": feed.topic.name,
        "SCRIP_EXAMPLE_TOLD": told.topic.name,
        "SCRIP_KAFKA": infrastructure.kafka,
        "SCRIP_KAFKA_SESSION_TIMEOUT_MS": str(session_ms),
        "SCRIP_REDIS_URL": infrastructure.redis_url,
    }
    process = Process("example", [], home=tmp_path, ready=lambda: answers(""), env=environment, cwd=PROJECT, grace_s=30)
    yield Example(process, f"http://127.0.0.1:{port}", database, feed, told, gate)
    process.kill()
    await told.close()


async def test_on_sigterm_a_process_finishes_what_it_has_in_hand_and_exits_with_success(example: Example) -> None:
    await example.start()
    async with httpx2.AsyncClient(base_url=example.address, timeout=30) as http:
        request = asyncio.create_task(http.post("/effects"))
        await example.feed.send(envelope("message", 1))
        await until(lambda: example.logged("example.waits") == 3)  # the request, the message, the job
        example.process.send(signal.SIGTERM)
        await until(lambda: example.logged("process.stopping") == 1)
        assert await example.database.effects() == []
        example.gate.touch()
        assert (await request).json() == {"status": "done"}
    assert await example.process.ended() == 0
    assert [await example.database.effects(key) for key in ("request", "message", "job")] == [[1], [1], [1]]
    desk = Desk(example.database, example.feed)
    desk_group = f"scrip-example.{example.feed.topic.name}"
    assert await desk.committed(desk_group) == 1
    await desk.close()


async def test_a_process_that_dies_between_publishing_and_marking_publishes_again(example: Example) -> None:
    example.gate.touch()
    await example.die_at("outbox.publish.before_mark")
    assert await example.database.unpublished() == 1
    await example.start("worker")
    await example.told.until_seen(3)  # the first life's job, once more, and the second life's
    assert await example.database.effects("job") == [1, 1]


async def test_a_process_that_dies_between_the_effect_and_its_offset_repeats_the_message_not_the_effect(
    example: Example,
) -> None:
    example.gate.touch()
    await example.feed.send(envelope("message", 1), envelope("message", 2))
    await example.die_at("consumer.take.before_offsets")
    assert await example.database.effects("message") == [1, 2]
    waited = example.logged('"key": "message"')
    await example.start("worker")
    await until(lambda: example.logged('"key": "message"') == waited + 2)
    await example.feed.send(envelope("message", 3))
    while await example.database.effects("message") != [1, 2, 3]:  # noqa: ASYNC110 - the process does it
        await asyncio.sleep(0.01)


async def test_a_role_does_its_own_part_and_no_other(example: Example) -> None:
    example.gate.touch()
    await example.start("api")
    async with httpx2.AsyncClient(base_url=example.address) as http:
        assert (await http.get("/readyz")).json()["checks"] == {"database": True, "schema": True}
        assert (await http.post("/effects")).status_code == 200
        await example.told.until_seen(1)  # whoever commits has it published
        await example.feed.send(envelope("message", 1))
        await example.process.stop()
        assert await example.database.effects() == [1]
        await example.start("worker")
        assert (await http.get("/readyz")).json()["checks"]["consumers"] is True
        assert (await http.post("/effects")).status_code == 404


@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_secret_reaches_a_log_not_even_by_a_bug(example: Example, form: str) -> None:
    example.gate.touch()
    secrets = ["Bearer-hunter2", "query-hunter2", urlsplit(example.database.url).password or "", "redis-hunter2"]
    await example.start(
        SCRIP_LOG_FORMAT=form, SCRIP_LOG_LEVEL="DEBUG", SCRIP_REDIS_URL="redis://:redis-hunter2@127.0.0.1:1/0"
    )
    async with httpx2.AsyncClient(base_url=example.address) as http:
        headers = {"authorization": f"Bearer {secrets[0]}", "x-request-id": "req-1"}
        answer = await http.post("/bugs", params={"password": secrets[1]}, headers=headers)
        assert answer.json()["request_id"] == "req-1"
        await example.database.cut("scrip-example")
        await http.post("/effects", headers=headers)
    await example.process.stop()
    said = example.process.log.read_text()
    assert "http.bug" in said
    assert "ZeroDivisionError" in said
    assert "req-1" in said
    assert [secret for secret in secrets if secret in said] == []


async def run(*command: str, **environment: str) -> tuple[int | None, str]:
    """Run a program to its end; answers its exit code and what it said."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("SCRIP_", "STRIPE_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, cwd=PROJECT, env=bare | environment, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_settings_that_are_missing_are_named_by_their_variables() -> None:
    runs = await asyncio.gather(*(run(f"services.{service}", "api") for service in SERVICES))
    for service, (code, said) in zip(SERVICES, runs, strict=True):
        assert code == 1
        assert said.startswith(f"services.{service}: settings are missing or wrong\n")
        assert f"  SCRIP_{service.upper()}_DATABASE_URL: Field required\n" in said
        assert "Traceback" not in said


SOUND = {
    "SCRIP_EXAMPLE_DATABASE_URL": "postgresql://scrip:hunter2@127.0.0.1:1/scrip",
    "SCRIP_EXAMPLE_GATE": "gate",
    "SCRIP_EXAMPLE_TOPIC": "topic",
    "SCRIP_EXAMPLE_TOLD": "told",
}


async def test_settings_that_are_wrong_are_explained_without_being_repeated() -> None:
    code, said = await run(
        MODULE,
        "api",
        **SOUND
        | {
            "SCRIP_EXAMPLE_DATABASE_URL": "mysql://scrip:hunter2@db/scrip",
            "SCRIP_EXAMPLE_PORT": "70000",
            "SCRIP_EXAMPLE_POOL_SIZE": "many",
            "SCRIP_LOG_LEVEL": "CHATTY",
            "SCRIP_LOG_FORMAT": "xml",
        },
    )
    assert code == 1
    assert said.splitlines() == [
        "services.example: settings are missing or wrong",
        "  SCRIP_EXAMPLE_DATABASE_URL: Value error, it is written postgresql://role:password@host:port/database",
        "  SCRIP_EXAMPLE_POOL_SIZE: Input should be a valid integer, unable to parse string as an integer",
        "  SCRIP_EXAMPLE_PORT: Input should be less than or equal to 65535",
        "  SCRIP_LOG_LEVEL: String should match pattern '^(DEBUG|INFO|WARNING|ERROR)$'",
        "  SCRIP_LOG_FORMAT: String should match pattern '^(json|text)$'",
    ]


async def test_migrate_without_the_owners_address_says_so() -> None:
    code, said = await run(MODULE, "migrate", **SOUND)
    assert (code, said) == (
        1,
        "services.example: migrate works as the database's owner: set SCRIP_EXAMPLE_OWNER_DATABASE_URL\n",
    )


async def test_a_database_that_refuses_us_is_told_in_a_line(database: Database) -> None:
    secret = urlsplit(database.url).password or ""
    wrong = database.url.replace(secret, "wrong")
    code, said = await run(MODULE, "api", **SOUND | {"SCRIP_EXAMPLE_DATABASE_URL": wrong})
    assert code == 1
    assert said.splitlines()[-1].startswith("services.example: cannot start: password authentication failed")
    assert "Traceback" not in said


async def test_a_process_waits_for_its_database_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    async def waits() -> bool:
        return "process.waits_for_database" in process.last_lines()

    process = Process(
        "example", [sys.executable, "-m", MODULE, "api"], home=tmp_path, ready=waits, cwd=PROJECT, env=SOUND
    )
    await process.start()
    process.send(signal.SIGTERM)
    assert await process.ended() == -signal.SIGTERM
