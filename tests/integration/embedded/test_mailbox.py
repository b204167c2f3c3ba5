from email.message import EmailMessage
from urllib.parse import urlsplit

import aiosmtplib
import httpx2

from deploy.embedded.infrastructure import Infrastructure


def a_mail(to: str, *, subject: str = "Your receipt") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "scrip@example.com", to, subject
    mail.set_content("Thank you for 50 crédits.")
    mail.add_alternative("<p>Thank you for <b>50 crédits</b>.</p>", subtype="html")
    mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="receipt.pdf")
    return mail


async def hand_in(local: Infrastructure, mail: EmailMessage) -> None:
    address = urlsplit(local.smtp_url)
    await aiosmtplib.send(mail, hostname=address.hostname, port=address.port)


def browser(local: Infrastructure) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=local.mailbox_url or "")


async def test_a_mail_handed_in_is_there_with_all_its_parts(local: Infrastructure) -> None:
    await hand_in(local, a_mail("ann@example.com"))
    async with browser(local) as client:
        (summary,) = (await client.get("/messages", params={"to": "ann@example.com"})).json()
        mail = (await client.get(f"/messages/{summary['id']}")).json()
        source = await client.get(f"/messages/{summary['id']}/source")
    assert (summary["sender"], summary["subject"]) == ("scrip@example.com", "Your receipt")
    assert mail["text"] == "Thank you for 50 crédits.\n"
    assert mail["html"] == "<p>Thank you for <b>50 crédits</b>.</p>\n"
    assert mail["attachments"] == ["receipt.pdf"]
    assert mail["headers"]["To"] == "ann@example.com"
    assert b"JVBERi0xLjc=" in source.content


async def test_the_newest_mail_comes_first(local: Infrastructure) -> None:
    for subject in ("first", "second"):
        await hand_in(local, a_mail("bob@example.com", subject=subject))
    async with browser(local) as client:
        listed = (await client.get("/messages", params={"to": "bob@example.com"})).json()
    assert [mail["subject"] for mail in listed] == ["second", "first"]


async def test_an_address_beyond_ascii_is_kept_as_it_is(local: Infrastructure) -> None:
    await hand_in(local, a_mail("jörg@example.com"))
    async with browser(local) as client:
        (mail,) = (await client.get("/messages", params={"to": "jörg@example.com"})).json()
    assert mail["recipients"] == ["jörg@example.com"]


async def test_what_a_mail_brings_is_shown_and_never_run(local: Infrastructure) -> None:
    mail = a_mail("eve@example.com", subject="<script>alert(1)</script>")
    mail.get_body(("html",)).set_content('"><script>alert(2)</script>', subtype="html")  # type: ignore[union-attr] # it has one
    await hand_in(local, mail)
    async with browser(local) as client:
        (summary,) = (await client.get("/messages", params={"to": "eve@example.com"})).json()
        pages = [await client.get("/"), await client.get(f"/mails/{summary['id']}")]
    for page in pages:
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<script" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "sandbox" in pages[1].text


async def test_mails_survive_a_kill_of_the_mailbox(local: Infrastructure) -> None:
    await hand_in(local, a_mail("kim@example.com"))
    local.mail.process.kill()
    await local.mail.start()
    async with browser(local) as client:
        assert len((await client.get("/messages", params={"to": "kim@example.com"})).json()) == 1


async def test_a_mail_that_is_not_there_is_not_found(local: Infrastructure) -> None:
    async with browser(local) as client:
        assert (await client.get("/messages/0190a0a0-0000-7000-8000-000000000000")).status_code == 404
        assert (await client.get("/messages/..%2fsecret")).status_code == 404
