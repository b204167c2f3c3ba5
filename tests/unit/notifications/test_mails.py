from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from typing import Any

import pytest

from libs.contracts.ids import read
from services.notifications.clients import Mail, MailRefusedError, MailServer, read_sender, write

SENDER = Address("Scrip", "no-reply", "scrip.example")
ID = read("message", "msg_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3")


def a_mail(**changes: Any) -> Mail:
    fields = {
        "id": ID,
        "to_address": "ada@example.com",
        "to_name": "Ada, Countess of Lovelace",
        "subject": "Your receipt: Große Packung, 24.99 USD",
        "text": "Hello Ada,\n",
        "html": "<p>Hello Ada,</p>\n",
        "written_at": datetime(2026, 11, 21, 12, 5, tzinfo=UTC),
    }
    return Mail(**{**fields, **changes})


def test_a_mail_has_both_forms_and_the_headers_of_an_automatic_one() -> None:
    message = message_from_bytes(write(a_mail(), sender=SENDER).as_bytes(policy=policy.SMTP), policy=policy.default)
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert message["To"].addresses == (Address("Ada, Countess of Lovelace", "ada", "example.com"),)
    assert message["From"] == "Scrip <no-reply@scrip.example>"
    assert message["Subject"] == "Your receipt: Große Packung, 24.99 USD"
    assert message["Date"].datetime == datetime(2026, 11, 21, 12, 5, tzinfo=UTC)
    assert message["Message-ID"] == "<msg_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3@scrip.example>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_second_try_is_byte_for_byte_the_first() -> None:
    assert write(a_mail(), sender=SENDER).as_bytes() == write(a_mail(), sender=SENDER).as_bytes()


@pytest.mark.parametrize(
    "address",
    ["ada@example.com\r\nBcc: all@example.com", "ada", "@example.com", "a>b@example.com", "ada@x.com,eve@y.com", ""],
)
def test_an_address_that_cannot_stand_in_a_header_is_refused(address: str) -> None:
    with pytest.raises(MailRefusedError, match="not an address"):
        write(a_mail(to_address=address), sender=SENDER)


@pytest.mark.parametrize("header", ["to_name", "subject"])
def test_a_line_break_in_a_header_is_an_error_even_when_nobody_took_it_out_before(header: str) -> None:
    with pytest.raises((ValueError, MailRefusedError), match=r"CR or LF|linefeed|carriage return"):
        write(a_mail(**{header: "Ada\r\nBcc: all@example.com"}), sender=SENDER)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 25, "none", None, None)),
        ("smtp://127.0.0.1:1025", MailServer("127.0.0.1", 1025, "none", None, None)),
        ("smtp+starttls://me:p%40ss@mail.example.com", MailServer("mail.example.com", 587, "starttls", "me", "p@ss")),
        ("starttls://mail.example.com:25", MailServer("mail.example.com", 25, "starttls", None, None)),
        ("smtps://me:x@mail.example.com", MailServer("mail.example.com", 465, "tls", "me", "x")),
    ],
)
def test_the_address_of_the_mail_server_says_how_to_come_to_it(url: str, server: MailServer) -> None:
    assert MailServer.at(url) == server


@pytest.mark.parametrize("url", ["http://me:secret@mail.example.com", "smtp://", "mail.example.com:25"])
def test_another_address_is_an_error_that_keeps_the_password_to_itself(url: str) -> None:
    with pytest.raises(ValueError, match="SCRIP_SMTP_URL begins with one of smtp, ") as error:
        MailServer.at(url)
    assert "secret" not in str(error.value)


def test_a_sender_has_a_name_and_an_address() -> None:
    assert read_sender("Scrip <no-reply@scrip.example>") == SENDER
    for incomplete in ("no-reply@scrip.example", "Scrip", "<no-reply@scrip.example>", ""):
        with pytest.raises(ValueError, match="a name and an address"):
            read_sender(incomplete)
