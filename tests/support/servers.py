"""Real servers for a test session: those that are given, else containers where Docker answers, else the embedded ones.

`TEST_DATABASE_URL`, `TEST_KAFKA`, `TEST_REDIS_URL`, `TEST_SMTP_URL` give existing ones, each by itself.
"""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.settings import Settings

IMAGES = {"postgres": "postgres:18", "kafka": "confluentinc/cp-kafka:8.1.0", "redis": "valkey/valkey:9"}

MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30


def _given() -> dict[str, str]:
    return {
        name: os.environ[f"TEST_{name.upper()}"]
        for name in ("database_url", "kafka", "redis_url", "smtp_url")
        if os.environ.get(f"TEST_{name.upper()}")
    }


def docker_answers() -> bool:
    """Tell whether a Docker engine can be reached; its own client says so, and leaves nothing open in our process."""
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    )


@contextmanager
def containers(given: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run in containers what was not given."""
    from testcontainers.kafka import KafkaContainer
    from testcontainers.postgres import PostgresContainer
    from testcontainers.redis import RedisContainer

    with ExitStack() as stack:
        if "database_url" not in given:
            postgres = stack.enter_context(PostgresContainer(IMAGES["postgres"], driver=None))
            given = {**given, "database_url": postgres.get_connection_url()}
        if "kafka" not in given:
            kafka = stack.enter_context(KafkaContainer(IMAGES["kafka"]).with_kraft())
            given = {**given, "kafka": kafka.get_bootstrap_server()}
        if "redis_url" not in given:
            redis = stack.enter_context(RedisContainer(IMAGES["redis"]))
            url = f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
            given = {**given, "redis_url": url}
        yield given


@contextmanager
def quick_folder(usual: Path) -> Iterator[Path]:
    """A folder in memory where there is room: a database is 300 files, which a disk takes long to make and delete."""
    for left in MEMORY.glob("scrip-tests-*"):  # by runs that were killed
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        yield usual
        return
    with TemporaryDirectory(prefix=f"scrip-tests-{os.getpid()}-", dir=MEMORY) as folder:
        yield Path(folder)


@asynccontextmanager
async def servers(usual: Path) -> AsyncIterator[Infrastructure]:
    """Start what is not given, with data in memory, or else in the `usual` folder."""
    with ExitStack() as stack:
        given = _given()
        if not {"database_url", "kafka", "redis_url"} <= given.keys() and docker_answers():
            given = stack.enter_context(containers(given))
        folder = stack.enter_context(quick_folder(usual))
        settings = Settings(data=folder, **given)  # type: ignore[arg-type] # names and addresses, as declared there
        async with Infrastructure(settings, say=lambda _: None) as infrastructure:
            yield infrastructure
