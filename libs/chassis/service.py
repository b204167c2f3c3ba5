"""What every service stands on, put together once: `app.py` adds its routes, consumers and jobs to it.

python -m services.<name> api|worker|migrate|all
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import asyncpg
import uvloop
from fastapi import APIRouter, FastAPI
from pydantic import ValidationError

from libs.chassis import failpoints, housekeeping, migrations, outbox
from libs.chassis.broker.producer import Producer
from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.broker.topics import TopicWatch
from libs.chassis.clock import Clock
from libs.chassis.http import Check, create_app
from libs.chassis.migrations import Migration
from libs.chassis.outbox import Relay
from libs.chassis.pool import TRANSIENT, Pool, open_pool
from libs.chassis.runner import HttpServer, Part, run
from libs.chassis.settings import ServiceSettings
from libs.chassis.telemetry import log, set_up_logs, set_up_traces
from libs.chassis.tokens import verifier
from libs.contracts import topics

Role = Literal["api", "worker", "all"]
S = TypeVar("S", bound=ServiceSettings)


@dataclass
class Foundation:
    """The parts that every process of a service has, not yet started but for the pool."""

    name: str
    role: Role
    settings: ServiceSettings
    clock: Clock
    pool: Pool
    producer: Producer
    relay: Relay
    consumers: Consumers
    topics: TopicWatch
    schema: Sequence[Migration]

    @property
    def works(self) -> bool:
        """Tell whether this process consumes and runs jobs."""
        return self.role != "api"

    @property
    def serves(self) -> bool:
        """Tell whether this process answers the service's own routes."""
        return self.role != "worker"

    def app(self, *, largest_body: int = 1024 * 1024, checks: Mapping[str, Check] = MappingProxyType({})) -> FastAPI:
        """Make the HTTP app, with the readiness checks that all share and those given."""
        shared: dict[str, Check] = {"database": self.pool.healthy, "schema": self._schema_is_current}
        if self.works:
            shared["consumers"] = self._consuming
        return create_app(f"Scrip {self.name}", largest_body=largest_body, checks={**shared, **checks})

    def serve_internally(self, app: FastAPI, *routers: APIRouter) -> None:
        """Add routes that only other services may call. Raises ValueError without the keys to tell them by."""
        if self.settings.service_keys_file is None:
            raise ValueError("set SCRIP_SERVICE_KEYS_FILE: the services' public keys tell who calls")
        app.state.verifier = verifier(self.name, self.settings.service_keys_file)
        for router in routers:
            app.include_router(router)

    def parts(self, app: FastAPI, *, clients: Sequence[Part] = (), jobs: Sequence[Part] = ()) -> list[Part]:
        """Put the parts in the order in which they start; they stop in reverse. Housekeeping jobs are added here."""
        server = HttpServer(app, host=self.settings.host, port=self.settings.port)
        own = housekeeping.jobs(self.pool, self.clock, self.consumers)
        working: list[Part] = [self.consumers, *jobs, *own] if self.works else []
        return [
            Closes(self.pool.close),
            Closes(self.producer.stop),
            self.topics,
            *clients,
            self.relay,
            *working,
            server,
        ]

    async def _schema_is_current(self) -> bool:
        try:
            async with self.pool.connection() as conn:
                return not await migrations.pending(conn, list(self.schema))
        except (asyncpg.PostgresError, *TRANSIENT):
            return False

    async def _consuming(self) -> bool:
        return self.consumers.ready()


class Closes:
    """A part that is ready as it is, and wants closing."""

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Close it."""
        await self._close()


async def lay(name: str, role: Role, settings: ServiceSettings, schema: Sequence[Migration]) -> Foundation:
    """Connect to the database, waiting for it if need be, and make the rest."""
    clock = Clock(settings.clock_offset_file)
    url = settings.database_url.get_secret_value()
    pool = await _patiently(lambda: open_pool(url, size=settings.pool_size, name=f"scrip-{name}"))
    producer = Producer(settings.kafka, client_id=f"scrip-{name}")
    consumers = Consumers(
        settings.kafka, service=name, pool=pool, clock=clock, session_timeout_ms=settings.kafka_session_timeout_ms
    )
    watch = TopicWatch(settings.kafka, topics=topics.ALL, replication=settings.topic_replication)
    watch.on_cluster(partial(_meet_cluster, pool, clock))
    if role != "api":
        watch.on_new_cluster(consumers.begin_anew)
    relay = Relay(pool, producer, database_url=url)
    return Foundation(name, role, settings, clock, pool, producer, relay, consumers, watch, schema)


async def _meet_cluster(pool: Pool, clock: Clock, cluster: str) -> None:
    async with pool.transaction() as conn:
        told_again = await outbox.meet_cluster(conn, cluster, at=clock.now())
    if told_again:
        log.error("outbox.told_again", cluster=cluster, rows=told_again)


async def _patiently(connect: Callable[[], Awaitable[Pool]]) -> Pool:
    while True:
        try:
            return await connect()
        except TRANSIENT as error:
            log.warning("process.waits_for_database", error=repr(error))
            await asyncio.sleep(0.5)


def main(
    name: str, settings_class: type[S], folder: Path, compose: Callable[[S, Foundation], Awaitable[list[Part]]]
) -> None:
    """Run a role of the service, as the command line says; `folder` is the service's own, with its migrations."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("role", choices=["api", "worker", "migrate", "all"])
    role = parser.parse_args().role
    try:
        settings = settings_class()
    except ValidationError as error:
        sys.exit(f"services.{name}: settings are missing or wrong\n{_explain(name, error)}")
    set_up_logs(name, level=settings.log_level, form=settings.log_format)
    set_up_traces(name, settings.telemetry_endpoint)
    failpoints.arm(settings.fail_point, file=settings.fail_point_file)
    schema = migrations.read("chassis", migrations.PLUMBING) + migrations.read(name, folder / "migrations")
    if role == "migrate":
        uvloop.run(_migrate(name, settings, schema))
    else:
        uvloop.run(_run(name, role, settings, schema, compose))


async def _run(
    name: str,
    role: Role,
    settings: S,
    schema: list[Migration],
    compose: Callable[[S, Foundation], Awaitable[list[Part]]],
) -> None:
    try:
        foundation = await lay(name, role, settings, schema)
        parts = await compose(settings, foundation)
    except (asyncpg.PostgresError, OSError, ValueError) as error:  # a wrong password, a file that is not there
        sys.exit(f"services.{name}: cannot start: {error}")
    _collect_seldom()
    await run(parts, name=f"{name} {role}")


def _collect_seldom() -> None:
    """Leave what was loaded to itself, and look for garbage in cycles after 50 000 new objects instead of 700."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _migrate(name: str, settings: ServiceSettings, schema: list[Migration]) -> None:
    if settings.owner_database_url is None:
        sys.exit(f"services.{name}: migrate works as the database's owner: set SCRIP_{name.upper()}_OWNER_DATABASE_URL")
    app_role = urlsplit(settings.database_url.get_secret_value()).username or ""
    url = settings.owner_database_url.get_secret_value()
    for applied in await migrations.migrate(url, migrations=schema, app_role=app_role):
        log.info("migrate.applied", migration=applied)


def _explain(name: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = str(problem["loc"][0]) if problem["loc"] else "..."
        variable = field if field.isupper() else f"SCRIP_{name.upper()}_{field.upper()}"
        lines.append(f"  {variable}: {problem['msg']}")
    return "\n".join(lines)
