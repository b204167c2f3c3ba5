"""The service as a process: from Kafka to the mail server, through deaths at its worst moments."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from libs.chassis.broker.producer import Message, Producer
from libs.chassis.pool import Pool
from libs.contracts.events.base import Event
from tests.integration.notifications.mail_server import ScriptedMailServer
from tests.integration.notifications.people import NOW, Person
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool

PROJECT = Path(__file__).parents[3]
CATALOGUE = PROJECT / "deploy" / "catalogues" / "video.yaml"
SHORTEST_SESSION_MS = 6000  # of a Kafka with its own defaults


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test's own timeout ends it."""
    while not condition():  # noqa: ASYNC110 - another process brings it about
        await asyncio.sleep(0.01)


@dataclass
class Service:
    """A process of the service, its database, and the mail server it speaks to."""

    process: Process
    port: int
    pool: Pool
    mail_server: ScriptedMailServer
    producer: Producer
    clock_file: Path

    async def tell(self, *events: Event) -> None:
        """Publish events as other services do."""
        envelopes = [(event.topic.name, event.envelope(at=NOW)) for event in events]
        await self.producer.publish((topic, Message(str(e.subject), e.encode())) for topic, e in envelopes)

    async def start(self, *, fail_point: str = "", ready: str = "readyz") -> None:
        """Start, to die at a point if one is named."""
        self.process.env = {**self.process.env, "SCRIP_FAIL_POINT": fail_point}
        self.process.ready = lambda: answers(f"http://127.0.0.1:{self.port}/{ready}")
        await self.process.start()

    async def dies(self) -> None:
        """Wait for the death that was arranged."""
        assert await self.process.ended() == -signal.SIGKILL

    def move_clock(self, by: timedelta) -> None:
        """Have time pass for the process."""
        self.clock_file.write_text(str(by.total_seconds()))

    def mails_to(self, person: Person) -> list[str]:
        """List the Message-IDs of what arrived for a person."""
        sent = zip(self.mail_server.mails, self.mail_server.recipients, strict=True)
        return [str(mail["Message-ID"]) for mail, recipient in sent if recipient == person.email]

    async def sent(self, person: Person) -> int:
        """Count what the log says was sent to a person."""
        async with self.pool.connection() as conn:
            return int(await conn.fetchval("SELECT count(*) FROM delivery WHERE sent_to = $1", person.email))

    async def letters(self, key: str) -> list[tuple[int, str]]:
        """List the dead letters of a key: how often each was tried, and its state."""
        async with self.pool.connection() as conn:
            rows = await conn.fetch("SELECT attempts, state FROM dead_letter WHERE key = $1 ORDER BY id", key)
        return [(row["attempts"], row["state"]) for row in rows]


@pytest.fixture
async def service(
    infrastructure: Infrastructure, service_pool: ServicePool, mail_server: ScriptedMailServer, tmp_path: Path
) -> AsyncIterator[Service]:
    pool = await service_pool("notifications")
    (port,) = free_ports(1)
    environment = {
        "SCRIP_NOTIFICATIONS_DATABASE_URL": service_pool.urls("notifications").app_url,
        "SCRIP_NOTIFICATIONS_PORT": str(port),
        "SCRIP_NOTIFICATIONS_SMTP_TIMEOUT_SECONDS": "5",
        "SCRIP_KAFKA": infrastructure.kafka,
        "SCRIP_KAFKA_SESSION_TIMEOUT_MS": str(SHORTEST_SESSION_MS),
        "SCRIP_SMTP_URL": mail_server.url,
        "SCRIP_CATALOGUE": str(CATALOGUE),
        "SCRIP_CLOCK_OFFSET_FILE": str(tmp_path / "clock"),
    }
    command = [sys.executable, "-m", "services.notifications", "worker"]
    process = Process(
        "notifications", command, home=tmp_path, ready=lambda: answers(""), env=environment, cwd=PROJECT, grace_s=25
    )
    producer = Producer(infrastructure.kafka, client_id="test")
    yield Service(process, port, pool, mail_server, producer, tmp_path / "clock")
    await process.stop()
    await producer.stop()
    await assert_books_balance(pool, "notifications")


async def test_a_receipt_goes_out_though_the_payment_is_told_before_the_account_and_twice(service: Service) -> None:
    person = Person()
    await service.start()
    await service.tell(person.paid(), person.paid())
    await service.tell(person.opened(), person.opened())
    await until(lambda: bool(service.mails_to(person)))
    await service.tell(person.refunded(100, revision=2))
    await until(lambda: len(service.mails_to(person)) > 1)
    assert len(set(service.mails_to(person))) == 2


async def test_a_death_before_sending_costs_no_mail(service: Service) -> None:
    person = Person()
    await service.start(fail_point="notifications.deliver.before_send")
    await service.tell(person.opened(), person.paid())
    await service.dies()
    assert service.mails_to(person) == []
    service.move_clock(timedelta(minutes=5))
    await service.start(ready="livez")
    await until(lambda: bool(service.mails_to(person)))


async def test_a_death_between_sending_and_recording_sends_again_under_the_same_message_id(service: Service) -> None:
    person = Person()
    await service.start(fail_point="notifications.deliver.after_send")
    await service.tell(person.opened(), person.paid())
    await service.dies()
    assert (len(service.mails_to(person)), await service.sent(person)) == (1, 0)
    service.move_clock(timedelta(minutes=5))
    await service.start(ready="livez")
    await until(lambda: len(service.mails_to(person)) == 2)
    assert len(set(service.mails_to(person))) == 1


async def test_a_death_before_the_receipt_is_recorded_costs_nothing(service: Service) -> None:
    person = Person()
    await service.start(fail_point="notifications.receipt.before_commit")
    await service.tell(person.opened(), person.paid())
    await service.dies()
    await service.start()
    await until(lambda: bool(service.mails_to(person)))
    await service.process.stop()
    assert (len(service.mails_to(person)), await service.sent(person)) == (1, 1)


async def test_what_cannot_be_read_is_kept_apart_and_holds_up_its_own_account_alone(service: Service) -> None:
    poisoned, healthy = Person(), Person()
    await service.start()
    await service.tell(poisoned.opened(), healthy.opened())
    event = poisoned.paid()
    broken = event.envelope(at=NOW).model_copy(update={"data": {"account": "nobody"}})
    await service.producer.publish([(event.topic.name, Message(event.key(), broken.encode()))])
    await service.tell(poisoned.paid(), healthy.paid())
    await until(lambda: bool(service.mails_to(healthy)))
    while len(letters := await service.letters(event.key())) < 2:  # noqa: ASYNC110 - another process writes them
        await asyncio.sleep(0.05)
    assert letters == [(3, "waiting"), (0, "waiting")]
    assert service.mails_to(poisoned) == []
