"""What happens by itself: mails go out when there is news, the old is forgotten, dead letters are taken up again."""

from datetime import timedelta

from libs.chassis import housekeeping
from libs.chassis.broker import dead_letters
from libs.chassis.broker.records import Record
from libs.chassis.broker.subscriptions import Consumers
from libs.contracts.events.base import Event
from services.notifications import consumers, jobs, operations
from services.notifications.domain.retries import RETRY_AFTER
from tests.integration.notifications.conftest import LEASE, Notifications
from tests.integration.notifications.mail_server import ScriptedMailServer
from tests.integration.notifications.people import NOW, Person

YEAR = timedelta(days=365)


async def test_a_commit_wakes_the_delivery_and_the_delivery_does_not_wake_itself(
    notifications: Notifications, ada: Person
) -> None:
    job = jobs.deliver(
        notifications.pool,
        mailer=notifications.mailer,
        templates=notifications.templates,
        seal=notifications.seal,
        clock=notifications.clock,
        lease=LEASE,
    )
    await notifications.tell(ada.paid())
    assert job._news.is_set()
    job._news.clear()
    assert await notifications.deliver() == 1
    assert not job._news.is_set()


async def test_what_was_settled_long_ago_is_forgotten_and_what_is_to_be_sent_is_not(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    waiting = Person()
    await notifications.tell(ada.paid())
    await notifications.tell(waiting.paid())
    await notifications.deliver()
    assert await operations.prune(notifications.pool, now=NOW + YEAR, keep_deliveries=YEAR) == 0
    later = NOW + YEAR + timedelta(seconds=1)
    assert await operations.prune(notifications.pool, now=later, keep_deliveries=YEAR) == 1
    assert await notifications.deliveries(ada) == []
    assert (await notifications.only(waiting)).state == "waiting_for_contact"


async def test_a_dead_letter_that_an_operator_asks_for_is_told_after_all(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    idle = Consumers(
        "127.0.0.1:1",
        service="notifications",
        pool=notifications.pool,
        clock=notifications.clock,
        session_timeout_ms=10_000,
    )
    consumers.subscribe(idle, pool=notifications.pool, clock=notifications.clock)
    await bury(notifications, ada.paid())
    (told,) = [one for one in idle.subscriptions if one.consumer.endswith(ada.paid().topic.name)]
    job = housekeeping.redrive(notifications.pool, notifications.clock, told.consumer, told.redrive)
    assert await job._pass() == 0
    async with notifications.pool.transaction() as conn:
        await dead_letters.ask_redrive(conn, key=ada.paid().key())
    assert await job._pass() == 1
    assert await job._pass() == 0
    await notifications.deliver_after(RETRY_AFTER[0])
    assert mail_server.recipients == [ada.email]


async def bury(notifications: Notifications, event: Event) -> None:
    """Keep an event as a dead letter, as if it could not have been handled when it came."""
    record = Record(event.topic.name, 0, 0, event.key(), event.envelope(at=NOW).encode(), {})
    async with notifications.pool.transaction() as conn:
        await dead_letters.record_letter(
            conn, f"notifications.{event.topic.name}", record, error="a bug", attempts=3, at=NOW
        )
