from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.settings import Settings

NO_ADDRESS = {"database_url": None, "kafka": None, "redis_url": None, "smtp_url": None}


def local_settings(folder: Path, **given: str) -> Settings:
    """Settings whatever the environment says; the cache is the user's, as jars are fetched once."""
    return Settings(data=folder / "data", **{**NO_ADDRESS, **given})  # type: ignore[arg-type] # as declared there


def quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="session")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Infrastructure]:
    """The servers as local processes, even where the other tests use existing ones."""
    async with Infrastructure(local_settings(tmp_path_factory.mktemp("local")), say=quiet) as started:
        yield started


@pytest.fixture
def said() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append
