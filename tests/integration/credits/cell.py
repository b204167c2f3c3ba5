"""The ledger on servers of its own, which a test may kill: PostgreSQL, Kafka, and real processes of credits."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx2
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rich.progress import Progress

from deploy.cli.customer import wait_for
from deploy.cli.state import State
from deploy.cli.verify import Steps, checks
from deploy.embedded.databases import SERVICES, ServiceDatabase, create_databases
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.keys import make_keys
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT, Settings
from deploy.embedded.stack import Addresses
from libs.chassis.broker import topics
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, open_pool, set_up
from libs.chassis.tokens import signer
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import UsageRejected
from libs.contracts.topics import ALL, CREDITS_EVENTS, USAGE_EVENTS, Topic
from services.credits.consumers import USAGE_CONSUMER
from services.credits.domain.books import Rules
from services.credits.domain.postings import Grant
from services.credits.operations.ledger import Ledger
from tests.integration.credits.serving import Api
from tests.support.databases import migrate
from tests.support.ledger import CATALOGUE

BATCH = 10
"""Usage events of one transaction: few, so that whoever is killed is killed between many of them."""
_NOWHERE = Addresses(gateway="", payments="", credits="", notifications="", stripe=None, mailbox=None)
RESPAWNING = "tests.integration.credits.respawning"
_UNUSED = "nowhere"  # credits needs neither Redis nor mail: none is started

Report = Callable[[Iterable[CloudEvent]], Awaitable[None]]


@dataclass
class Cell:
    """A ledger, and all that it runs on; `api` and `worker` are processes of the service."""

    servers: Infrastructure
    database: ServiceDatabase
    home: Path

    def __post_init__(self) -> None:
        self.environment = {
            "SCRIP_CREDITS_DATABASE_URL": self.database.app_url,
            "SCRIP_CREDITS_USAGE_BATCH": str(BATCH),
            "SCRIP_KAFKA": self.servers.kafka,
            "SCRIP_KAFKA_SESSION_TIMEOUT_MS": "1000",
            "SCRIP_CATALOGUE": str(self.home / "catalogue.yaml"),
            "SCRIP_SERVICE_KEYS_FILE": str(make_keys(self.home / "keys", SERVICES).public),
            "SCRIP_LOG_LEVEL": "WARNING",
        }
        self.api = self._service("api")
        self.worker = self._service("worker")

    def _service(self, role: str) -> Process:
        (port,) = free_ports(1)
        env = {"SCRIP_CREDITS_PORT": str(port)}
        return self._process(role, "services.credits", role, env=env, ready=partial(answers, _ready_at(port)))

    def _process(self, name: str, *module: str, env: dict[str, str], ready: Callable[[], Awaitable[bool]]) -> Process:
        command = [sys.executable, "-m", *module]
        return Process(name, command, home=self.home, ready=ready, env=self.environment | env, cwd=PROJECT)

    @asynccontextmanager
    async def respawning(self, workers: int) -> AsyncIterator[psutil.Process]:
        """Keep so many workers alive, whatever they die of, instead of the one; gives the process that does."""
        supervisor = self._process("supervisor", RESPAWNING, str(workers), env={}, ready=_at_once)
        await self.worker.stop()
        await supervisor.start()
        try:
            yield psutil.Process(supervisor.pid)
        finally:
            supervisor.kill()

    async def run(self) -> None:
        """Start those of its processes that do not run."""
        await asyncio.gather(*(process.start() for process in (self.api, self.worker) if not process.running))

    async def stop(self) -> None:
        """Stop its processes."""
        await asyncio.gather(self.api.stop(), self.worker.stop())

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Api]:
        """Ask its API."""
        key = make_keys(self.home / "keys", SERVICES).private("gateway")
        url = f"http://127.0.0.1:{self.api.env['SCRIP_CREDITS_PORT']}"
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield Api(http, signer("gateway", key))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Look into the ledger's database."""
        conn = await asyncpg.connect(self.database.app_url)
        try:
            await set_up(conn)
            yield conn
        finally:
            await conn.close()

    async def grant(self, *grants: Grant) -> None:
        """Give lots to accounts, which are opened for them."""
        pool = await open_pool(self.database.app_url, size=1, name="test")
        async with pool.transaction() as conn:
            await Ledger(Clock(), Rules()).apply(conn, grants)
        await pool.close()

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[Report]:
        """Report usage, in the order given; one call returns once the broker has all of it."""
        async with AIOKafkaProducer(bootstrap_servers=self.servers.kafka, acks="all") as producer:

            async def report(events: Iterable[CloudEvent]) -> None:
                for event in events:
                    await producer.send(USAGE_EVENTS.name, event.encode(), key=(event.subject or "").encode())
                await producer.flush()

            yield report

    async def report(self, *events: CloudEvent) -> None:
        """Report usage once."""
        async with self.reporting() as report:
            await report(events)

    async def until_consumed(self) -> None:
        """Wait until the offsets of all usage are committed."""
        await wait_for(self._nothing_lags, seconds=60)

    async def _nothing_lags(self) -> bool:
        group = f"scrip-{USAGE_CONSUMER}"
        servers = self.servers.kafka
        async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as consumer:
            ends = await consumer.end_offsets(_partitions(USAGE_EVENTS))
            consumer.assign(list(ends))
            return all([(await consumer.committed(partition) or 0) >= end for partition, end in ends.items()])

    async def records(self, topic: Topic) -> list[bytes]:
        """Read what a topic holds, each partition in its order."""
        async with AIOKafkaConsumer(bootstrap_servers=self.servers.kafka, enable_auto_commit=False) as consumer:
            ends = await consumer.end_offsets(_partitions(topic))
            consumer.assign(list(ends))
            await consumer.seek_to_beginning(*ends)
            found: list[bytes] = []
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                polled = await consumer.getmany(timeout_ms=100)
                found += [record.value for records in polled.values() for record in records]
            return found

    async def rejections(self, account: UUID) -> list[UsageRejected]:
        """Read what the topic tells of an account's refused usage, each event once."""
        events = {event.id: event for event in map(CloudEvent.decode, await self.records(CREDITS_EVENTS))}
        told = [UsageRejected.of(event) for event in events.values() if event.type == UsageRejected.type]
        return [event for event in told if event.account == account]

    async def breaches(self) -> list[str]:
        """Name what `scrip verify` finds wrong."""
        found = checks(State(_NOWHERE, {"credits": self.environment}), Steps(Progress(disable=True)), heads=None)
        return [f"{check.sentence}: {breach}" async for check in found for breach in check.breaches]


@asynccontextmanager
async def cell(home: Path) -> AsyncIterator[Cell]:
    """Start servers, and make the ledger's database and topics; all is stopped in the end."""
    settings = Settings(data=home, database_url=None, kafka=None, redis_url=_UNUSED, smtp_url=_UNUSED)
    async with Infrastructure(settings, say=lambda _: None) as servers:
        database = (await create_databases(servers.database_url))["credits"]
        await asyncio.gather(migrate("credits", database), topics.ensure(servers.kafka, ALL, replication=1))
        (home / "catalogue.yaml").write_text(CATALOGUE.model_dump_json())
        made = Cell(servers, database, home)
        try:
            yield made
        finally:
            await made.stop()


async def _at_once() -> bool:
    return True


def _ready_at(port: int) -> str:
    return f"http://127.0.0.1:{port}/readyz"


def _partitions(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]
