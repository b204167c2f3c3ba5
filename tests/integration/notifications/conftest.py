from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import FileSystemLoader

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.sealing import Seal
from libs.contracts.catalogue import Unit
from libs.contracts.events.accounts_v1 import AccountOpened
from libs.contracts.events.base import Event
from libs.contracts.events.payments_v1 import GiftCardIssued, PaymentCardLearned, PaymentRefunded, PaymentSucceeded
from libs.contracts.http.notifications_v1 import Delivery
from services.notifications import operations
from services.notifications.clients import Mailer, MailServer
from services.notifications.domain.rendering import Templates
from tests.integration.notifications.mail_server import ScriptedMailServer
from tests.integration.notifications.people import NOW, Person
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool

SERVICE = Path(__file__).parents[3] / "services" / "notifications"
LEASE = timedelta(minutes=1)
SEAL = Seal(["what these tests seal with"])


class MovedClock(Clock):
    """A clock that begins at NOW and moves when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.began = datetime.now(UTC)
        self.moved = timedelta()

    def now(self) -> datetime:
        """Tell the instant."""
        return NOW + self.moved


@dataclass
class Notifications:
    """The service's operations on one database and one mail server, called as its consumers and jobs call them."""

    pool: Pool
    mailer: Mailer
    clock: MovedClock
    templates: Templates
    seal: Seal = SEAL

    async def tell(self, event: Event) -> None:
        """Have an event handled."""
        match event:
            case AccountOpened():
                await operations.learn_contact(self.pool, event, at=self.clock.now())
            case PaymentSucceeded():
                await operations.record_receipt(self.pool, event, at=self.clock.now())
            case PaymentCardLearned():
                await operations.learn_card(self.pool, event, at=self.clock.now())
            case PaymentRefunded():
                await operations.record_refund_notice(self.pool, event, at=self.clock.now())
            case GiftCardIssued():
                await operations.record_gift_card(self.pool, event, at=self.clock.now())

    async def deliver(self) -> int:
        """Make a pass of the job."""
        return await operations.deliver_due(
            self.pool, mailer=self.mailer, templates=self.templates, seal=self.seal, clock=self.clock, lease=LEASE
        )

    async def deliver_after(self, pause: timedelta) -> int:
        """Make a pass after some time."""
        self.clock.moved += pause
        return await self.deliver()

    async def deliveries(self, person: Person) -> list[Delivery]:
        """List what a person was told, newest first."""
        page = await operations.list_deliveries(self.pool, person.account, before=None, limit=100)
        return page.data

    async def only(self, person: Person) -> Delivery:
        """Return the one thing that a person was told."""
        (delivery,) = await self.deliveries(person)
        return delivery


@pytest.fixture
async def mail_server() -> AsyncIterator[ScriptedMailServer]:
    server = ScriptedMailServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def notifications(service_pool: ServicePool, mail_server: ScriptedMailServer) -> AsyncIterator[Notifications]:
    """The service on a fresh database, whose books are audited when the test is over."""
    pool = await service_pool("notifications")
    mailer = Mailer(MailServer.at(mail_server.url), sender="Scrip <no-reply@scrip.example>", timeout_seconds=5)
    templates = Templates(FileSystemLoader(SERVICE / "templates"), unit=Unit(), sender="Scrip")
    yield Notifications(pool, mailer, MovedClock(), templates)
    await mailer.stop()
    await assert_books_balance(pool, "notifications")


@pytest.fixture
async def ada(notifications: Notifications) -> Person:
    """Somebody whose address is known."""
    person = Person()
    await notifications.tell(person.opened())
    return person
