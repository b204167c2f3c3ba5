import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import httpx2
import pytest
import structlog
from hypothesis import settings

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from tests.support.databases import ServicePool, make_templates
from tests.support.servers import servers

LONGEST_SECONDS = 400.0

settings.register_profile("scrip", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("scrip")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test that waits in vain fail where it waits; pytest's own limit is for what does not even wait.

    End-to-end tests come last: their stack takes a tenth of a core for as long as it is up.
    """
    items.sort(key=lambda item: "e2e" in item.path.parts)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _in_time(item.obj)


def pytest_collection_finish() -> None:
    """Look for garbage as seldom as the services do: there is much in memory by now, and it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _in_time(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            await test(*args, **kwargs)

    return limited


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Log tracebacks as Python writes them; structlog's own way, with every local, takes seconds for each."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([structlog.stdlib.add_log_level, structlog.processors.TimeStamper("iso"), renderer])


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """Have the HTTP clients of our process trust the same authorities; to read them takes each 25 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx2._transports.default.create_ssl_context", functools.cache(httpx2.create_ssl_context))
        yield


@pytest.fixture(scope="session")
async def infrastructure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Infrastructure]:
    """PostgreSQL, Kafka, Redis and a mailbox for the whole session."""
    async with servers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="session")
async def templates(infrastructure: Infrastructure) -> dict[str, ServiceDatabase]:
    """Every service's database, migrated, to be copied."""
    return await make_templates(infrastructure.database_url)


@pytest.fixture(scope="session")
async def server(infrastructure: Infrastructure) -> AsyncIterator[asyncpg.Connection]:
    """A connection to PostgreSQL as one who may make databases."""
    conn = await asyncpg.connect(infrastructure.database_url)
    yield conn
    await conn.close()


@pytest.fixture
async def service_pool(server: asyncpg.Connection, templates: dict[str, ServiceDatabase]) -> AsyncIterator[ServicePool]:
    """Pools on fresh databases: `pool = await service_pool("credits")`."""
    made = ServicePool(server, templates)
    yield made
    await made.drop()
