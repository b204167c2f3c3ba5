"""Gift cards: whoever they are for gets their code by mail, and nobody reads it anywhere else."""

from asyncio import gather
from datetime import timedelta
from typing import Any

from libs.chassis.sealing import Seal
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events.payments_v1 import GiftCardIssued
from tests.integration.notifications.conftest import SEAL, Notifications
from tests.integration.notifications.mail_server import ScriptedMailServer, text_of
from tests.integration.notifications.people import NOW, Person

CODE = "ABCD-EFGH-JKMN-PQRS"


def issued(buyer: Person, **changes: Any) -> GiftCardIssued:
    """Tell that a gift card from somebody is due."""
    facts: dict[str, Any] = {
        "account": buyer.account,
        "user": buyer.user,
        "gift_card": ids.new_id(),
        "occurred_at": NOW,
        "credits": 50 * MICRO,
        "sender_name": buyer.name,
        "recipient_email": "grace@example.com",
        "recipient_name": "Grace Hopper",
        "message": "For your compiler",
        "sealed_code": SEAL.close(CODE),
    }
    return GiftCardIssued(**facts | changes)


async def test_whoever_it_is_for_has_its_code_by_mail_once(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    event = issued(ada)
    await gather(*(notifications.tell(event) for _ in range(5)))
    assert await notifications.deliver() == 1
    await notifications.tell(event)
    assert await notifications.deliver() == 0
    (mail,) = mail_server.mails
    assert mail_server.recipients == ["grace@example.com"]
    assert mail["Subject"] == "A gift card from Ada Lovelace: 50 credits"
    for text in (text_of(mail), text_of(mail, "html")):
        assert all(word in text for word in (CODE, "Grace Hopper", "For your compiler", "50 credits"))


async def test_the_buyer_need_not_be_known_yet(notifications: Notifications, mail_server: ScriptedMailServer) -> None:
    late = Person()
    await notifications.tell(issued(late, message=None))
    assert await notifications.deliver() == 1
    assert mail_server.recipients == ["grace@example.com"]
    await notifications.tell(late.opened())
    assert await notifications.deliver() == 0


async def test_the_code_is_stored_sealed_alone(notifications: Notifications, ada: Person) -> None:
    await notifications.tell(issued(ada))
    await notifications.deliver()
    async with notifications.pool.connection() as conn:
        stored = await conn.fetchval("SELECT string_agg(d::text, ' ') FROM delivery AS d")
    assert CODE not in stored
    assert CODE.replace("-", "") not in stored


async def test_a_strangers_words_cannot_break_the_mail(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(issued(ada, message="<b>Hi</b>\r\n\r\nYour code   EVIL", sender_name="Ada\r\nBcc: x@y.z"))
    await notifications.deliver()
    (mail,) = mail_server.mails
    assert mail["Bcc"] is None
    assert '"<b>Hi</b> Your code EVIL"' in text_of(mail)
    assert "&lt;b&gt;Hi" in text_of(mail, "html")


async def test_what_another_secret_sealed_is_kept_until_the_secret_is_there(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(issued(ada, sealed_code=Seal(["a newer secret than ours"]).close(CODE)))
    assert await notifications.deliver() == 1
    assert mail_server.mails == []
    notifications.seal = Seal(["what these tests seal with", "a newer secret than ours"])
    await notifications.deliver_after(timedelta(minutes=1))
    assert CODE in text_of(mail_server.mails[0])


async def test_the_receipt_of_a_gift_card_speaks_of_no_credits(
    notifications: Notifications, ada: Person, mail_server: ScriptedMailServer
) -> None:
    await notifications.tell(ada.paid(lots=[], gift_card=ids.new_id(), description="Gift card: 50 credits"))
    await notifications.deliver()
    (mail,) = mail_server.mails
    assert mail_server.recipients == [ada.email]
    for text in (text_of(mail), text_of(mail, "html")):
        assert "your gift card will be sent" in text
        assert "Credited" not in text
