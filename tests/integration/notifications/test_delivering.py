"""What was recorded is delivered: with patience where that helps, with an end where it does not, and once."""

from asyncio import gather
from datetime import timedelta

from libs.contracts.ids import show
from services.notifications.domain.retries import RETRY_AFTER
from tests.integration.notifications.conftest import LEASE, Notifications
from tests.integration.notifications.mail_server import LOSES_THE_ANSWER, ScriptedMailServer, text_of
from tests.integration.notifications.people import NOW, Person


async def test_what_was_sent_is_recorded_with_where_it_went(notifications: Notifications, ada: Person) -> None:
    await notifications.tell(ada.paid())
    await notifications.deliver()
    delivery = await notifications.only(ada)
    assert (delivery.state, delivery.sent_to, delivery.attempts) == ("sent", ada.email, 1)
    assert (delivery.settled_at, delivery.next_attempt_at, delivery.last_error) == (NOW, None, None)


async def test_mails_share_one_connection(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    for revision in range(2, 12):
        await notifications.tell(ada.refunded(100 * revision, revision=revision))
    assert await notifications.deliver() == 10
    assert mail_server.connections == 1


async def test_a_connection_that_was_closed_while_it_rested_costs_no_try(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid())
    await notifications.deliver()
    mail_server.cut_connections()
    await notifications.tell(ada.refunded(100, revision=2))
    assert await notifications.deliver() == 1
    assert [delivery.attempts for delivery in await notifications.deliveries(ada)] == [1, 1]


async def test_a_mail_server_that_is_away_is_tried_again_until_it_is_back(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await mail_server.stop()
    await notifications.tell(ada.paid())
    assert await notifications.deliver() == 0
    assert (await notifications.only(ada)).next_attempt_at == NOW + RETRY_AFTER[0]
    assert await notifications.deliver_after(RETRY_AFTER[0]) == 0
    waiting = await notifications.only(ada)
    assert (waiting.state, waiting.attempts) == ("pending", 2)
    assert waiting.next_attempt_at == NOW + RETRY_AFTER[0] + RETRY_AFTER[1]
    await mail_server.start()
    assert await notifications.deliver() == 0
    assert await notifications.deliver_after(RETRY_AFTER[1]) == 1
    assert mail_server.recipients == [ada.email]


async def test_a_pass_ends_with_the_first_mail_that_finds_the_server_away(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await mail_server.stop()
    await notifications.tell(ada.paid())
    await notifications.tell(ada.refunded(100, revision=2))
    await notifications.deliver()
    assert sorted(delivery.attempts for delivery in await notifications.deliveries(ada)) == [0, 1]


async def test_a_temporary_no_is_tried_again(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    mail_server.to_recipients.append("450 4.2.1 greylisted, come back later")
    mail_server.to_mails.append("452 4.3.1 no space left")
    await notifications.tell(ada.paid())
    await notifications.deliver()
    assert (await notifications.only(ada)).last_error == "450 4.2.1 greylisted, come back later"
    await notifications.deliver_after(RETRY_AFTER[0])
    assert (await notifications.only(ada)).last_error == "452 4.3.1 no space left"
    assert await notifications.deliver_after(RETRY_AFTER[1]) == 1
    assert mail_server.recipients == [ada.email]


async def test_a_permanent_no_is_final_and_holds_up_nobody(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    mail_server.to_recipients.append("550 5.1.1 no such mailbox")
    await notifications.tell(ada.paid())
    await notifications.tell(ada.refunded(100, revision=2))
    assert await notifications.deliver() == 2
    assert await notifications.deliver_after(timedelta(days=30)) == 0
    refund, receipt = await notifications.deliveries(ada)
    assert (receipt.state, receipt.last_error) == ("failed", "550 5.1.1 no such mailbox")
    assert refund.state == "sent"


async def test_a_mail_that_the_server_never_takes_is_given_up_after_days(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    tries = len(RETRY_AFTER) + 1
    mail_server.to_mails.extend(["451 4.3.0 try later"] * tries)
    await notifications.tell(ada.paid())
    for pause in (timedelta(), *RETRY_AFTER):
        await notifications.deliver_after(pause)
    delivery = await notifications.only(ada)
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("failed", tries, "451 4.3.0 try later")


async def test_an_address_that_no_mail_can_go_to_fails_at_once(
    notifications: Notifications, mail_server: ScriptedMailServer
) -> None:
    odd = Person()
    await notifications.tell(odd.opened(email="ada@example.com,eve@example.com"))
    await notifications.tell(odd.paid())
    await notifications.deliver()
    delivery = await notifications.only(odd)
    assert delivery.state == "failed"
    assert "not an address" in str(delivery.last_error)
    assert mail_server.mails == []


async def test_a_name_with_line_breaks_writes_no_header(
    notifications: Notifications, mail_server: ScriptedMailServer
) -> None:
    hostile = Person(name="Ada\r\nBcc: eve@example.com\r\n\r\n<h1>You won</h1>")
    await notifications.tell(hostile.opened())
    await notifications.tell(hostile.paid())
    await notifications.deliver()
    (mail,) = mail_server.mails
    assert mail_server.recipients == [hostile.email]
    assert mail["Bcc"] is None
    assert mail["To"].addresses[0].display_name == "Ada Bcc: eve@example.com <h1>You won</h1>"
    assert "<h1>You won" not in text_of(mail, "html")


async def test_a_lost_answer_brings_the_same_mail_again_under_the_same_message_id(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    mail_server.to_mails.append(LOSES_THE_ANSWER)
    await notifications.tell(ada.paid())
    await notifications.deliver()
    assert (await notifications.only(ada)).state == "pending"
    await notifications.deliver_after(RETRY_AFTER[0])
    first, second = mail_server.mails
    assert first["Message-ID"] == f"<{show('message', (await notifications.only(ada)).id)}@scrip.example>"
    assert first.as_bytes() == second.as_bytes()


async def test_many_workers_send_each_mail_once(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    for revision in range(2, 22):
        await notifications.tell(ada.refunded(100 * revision, revision=revision))
    settled = await gather(*(notifications.deliver() for _ in range(4)))
    assert sum(settled) == 20
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(mail_server.mails) == 20


async def test_what_another_has_claimed_is_left_to_him_until_his_lease_ends(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid())
    async with notifications.pool.connection() as conn:
        await conn.execute("UPDATE delivery SET claimed_until = $1, attempts = 1", NOW + LEASE)
    assert await notifications.deliver() == 0
    assert await notifications.deliver_after(LEASE) == 1
    assert mail_server.recipients == [ada.email]


async def test_a_message_that_this_version_cannot_read_waits_and_holds_up_nobody(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid())
    async with notifications.pool.connection() as conn:
        await conn.execute("UPDATE delivery SET template = 'of_tomorrow'")
    await notifications.tell(ada.refunded(100, revision=2))
    await notifications.deliver()
    refund, receipt = await notifications.deliveries(ada)
    assert (refund.state, receipt.state, receipt.next_attempt_at) == ("sent", "pending", NOW + RETRY_AFTER[0])
