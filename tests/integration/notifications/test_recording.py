"""What there is to tell is recorded once, whatever is repeated or comes in another order."""

from asyncio import gather
from datetime import timedelta

from libs.contracts.ids import show
from tests.integration.notifications.conftest import Notifications
from tests.integration.notifications.mail_server import LOSES_THE_ANSWER, ScriptedMailServer, text_of
from tests.integration.notifications.people import Person


async def test_a_payment_told_five_times_at_once_brings_one_receipt(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await gather(*(notifications.tell(ada.paid()) for _ in range(5)))
    assert await notifications.deliver() == 1
    await notifications.tell(ada.paid())
    assert await notifications.deliver() == 0
    assert mail_server.recipients == [ada.email]


async def test_a_receipt_says_what_the_event_said(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid())
    await notifications.deliver()
    (mail,) = mail_server.mails
    text = text_of(mail)
    assert mail["Subject"] == "Your receipt: Pro: 150 + 10 credits, 24.99 USD"
    assert "160 credits, 10 credits of them a bonus" in text
    assert show("purchase", ada.purchase) in text
    assert "21 November 2026, 12:05 UTC" in text
    assert "24.99 USD" in text_of(mail, "html")


async def test_a_receipt_waits_a_little_for_the_card_that_paid(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid(card=None))
    assert await notifications.deliver() == 0
    for _ in range(2):
        await notifications.tell(ada.card_learned())
    assert await notifications.deliver() == 1
    assert "Visa ending in 4242" in text_of(mail_server.mails[0])


async def test_a_receipt_whose_card_nobody_learns_goes_without(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid(card=None))
    assert await notifications.deliver_after(timedelta(seconds=4)) == 0
    assert await notifications.deliver_after(timedelta(seconds=1)) == 1
    await notifications.tell(ada.card_learned())
    assert await notifications.deliver() == 0
    assert "ending in" not in text_of(mail_server.mails[0])


async def test_a_receipt_that_was_tried_says_the_same_at_every_try(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid(card=None))
    mail_server.to_mails.append(LOSES_THE_ANSWER)
    await notifications.deliver_after(timedelta(seconds=5))
    await notifications.tell(ada.card_learned())
    await notifications.deliver_after(timedelta(days=1))
    assert ["ending in" in text_of(mail) for mail in mail_server.mails] == [False, False]


async def test_a_refund_at_once_does_not_overtake_the_receipt(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid(card=None))
    await notifications.tell(ada.refunded(500, revision=2))
    assert await notifications.deliver() == 2
    assert [mail["Subject"].split(":")[0] for mail in mail_server.mails] == ["Your receipt", "Your refund"]


async def test_a_card_learned_before_the_contact_is_on_the_receipt_too(
    notifications: Notifications, mail_server: ScriptedMailServer
) -> None:
    late = Person()
    await notifications.tell(late.paid(card=None))
    await notifications.tell(late.card_learned())
    await notifications.tell(late.opened())
    assert await notifications.deliver() == 1
    assert "Visa ending in 4242" in text_of(mail_server.mails[0])


async def test_a_receipt_waits_for_the_contact_whose_arrival_releases_it(
    notifications: Notifications, mail_server: ScriptedMailServer
) -> None:
    late = Person()
    await notifications.tell(late.paid())
    assert (await notifications.only(late)).state == "waiting_for_contact"
    assert await notifications.deliver() == 0
    await notifications.tell(late.opened())
    assert await notifications.deliver() == 1
    assert mail_server.recipients == [late.email]


async def test_a_contact_that_arrives_in_the_same_moment_is_not_missed(notifications: Notifications) -> None:
    people = [Person() for _ in range(20)]
    await gather(*(notifications.tell(event) for person in people for event in (person.paid(), person.opened())))
    assert {(await notifications.only(person)).state for person in people} == {"pending"}


async def test_a_contact_releases_its_own_messages_alone(notifications: Notifications, ada: Person) -> None:
    stranger = Person()
    await notifications.tell(stranger.paid())
    await notifications.tell(Person().opened())
    await notifications.tell(Person(account=stranger.account).opened())
    assert (await notifications.only(stranger)).state == "waiting_for_contact"


async def test_an_account_opened_told_again_does_not_bring_back_an_old_address(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.opened(email="old@example.com"))
    await notifications.tell(ada.paid())
    await notifications.deliver()
    assert mail_server.recipients == [ada.email]


async def test_each_refund_is_told_with_what_is_new_in_it(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.refunded(500, revision=2))
    await notifications.tell(ada.refunded(1500, revision=3))
    await notifications.tell(ada.refunded(1500, revision=3))
    await notifications.deliver()
    assert [mail["Subject"] for mail in mail_server.mails] == [
        "Your refund: 5.00 USD for Pro: 150 + 10 credits",
        "Your refund: 10.00 USD for Pro: 150 + 10 credits",
    ]
    assert "15.00 USD so far" in text_of(mail_server.mails[1])


async def test_an_older_revision_that_comes_late_is_not_told(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.refunded(1500, revision=3))
    await notifications.tell(ada.refunded(500, revision=2))
    await notifications.deliver()
    assert [mail["Subject"] for mail in mail_server.mails] == ["Your refund: 15.00 USD for Pro: 150 + 10 credits"]


async def test_a_refund_that_came_back_is_no_refund_and_the_next_counts_from_there(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    for total, revision in [(500, 2), (0, 3), (700, 4)]:
        await notifications.tell(ada.refunded(total, revision=revision))
    await notifications.deliver()
    assert [mail["Subject"].split()[2] for mail in mail_server.mails] == ["5.00", "7.00"]


async def test_refunds_told_at_once_in_any_order_add_up(notifications: Notifications, ada: Person) -> None:
    totals = [(100 * revision, revision) for revision in range(2, 12)]
    await gather(*(notifications.tell(ada.refunded(total, revision=revision)) for total, revision in totals))
    async with notifications.pool.connection() as conn:
        told = await conn.fetchval("SELECT sum((facts -> 'amount' ->> 'amount_minor')::bigint) FROM delivery")
    assert told == 1100
