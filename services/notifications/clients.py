"""The mail server: SMTP over one connection that is kept open between mails."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Literal, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from libs.contracts.ids import show

Encryption = Literal["none", "starttls", "tls"]

_SCHEMES: dict[str, tuple[Encryption, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


class MailServerAwayError(Exception):
    """The server could not be reached, or refuses us: no mail of ours would fare better now."""


class MailDelayedError(Exception):
    """The server did not take this mail now, or never said whether it did; the same mail is to be tried again."""


class MailRefusedError(Exception):
    """The server will never take this mail."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where the server is and how we come to it."""

    host: str
    port: int
    encryption: Encryption
    user: str | None
    password: str | None

    @classmethod
    def at(cls, url: str) -> Self:
        """Read an address such as `smtps://user:password@host:port`. Raises ValueError, without the password."""
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError(f"SCRIP_SMTP_URL begins with one of {', '.join(_SCHEMES)} and names a host")
        encryption, port = _SCHEMES[parts.scheme]
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.hostname, parts.port or port, encryption, user, password)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. A second try of the same `id` is byte for byte the first."""

    id: UUID
    to_address: str
    to_name: str
    subject: str
    text: str
    html: str
    written_at: datetime


class Mailer:
    """Hands mails to the server, one after another."""

    def __init__(self, server: MailServer, *, sender: str, timeout_seconds: float) -> None:
        self._sender = read_sender(sender)
        self._timeout = timeout_seconds
        self._turn = asyncio.Lock()
        self._smtp = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.encryption == "tls",
            start_tls=server.encryption == "starttls",
            timeout=timeout_seconds,
            local_hostname=self._sender.domain,
        )

    @property
    def sender_name(self) -> str:
        """Tell in whose name we write."""
        return self._sender.display_name

    async def start(self) -> None:
        """Nothing to begin: the connection is made on first need."""

    async def stop(self) -> None:
        """Take leave of the server."""
        try:
            async with asyncio.timeout(2):
                if self._smtp.is_connected:
                    await self._smtp.quit()
        except (SMTPException, OSError, TimeoutError):
            self._smtp.close()

    async def send(self, mail: Mail) -> None:
        """Hand a mail over; returns once the server has taken it.

        Raises MailServerAwayError, MailDelayedError or MailRefusedError. After a MailDelayedError the server may have
        the mail all the same, when its answer was lost: the Message-ID, the same at every try, tells.
        """
        message = write(mail, sender=self._sender)
        async with self._turn:
            await self._connect()
            await self._hand_over(message, mail.to_address)

    async def _connect(self) -> None:
        """Have a living connection: one that rested may have been closed by the server."""
        try:
            async with asyncio.timeout(self._timeout):
                if not await self._alive():
                    await self._smtp.connect()
        except (SMTPException, OSError) as error:
            self._smtp.close()
            raise MailServerAwayError(_told(error)) from error

    async def _alive(self) -> bool:
        if not self._smtp.is_connected:
            return False
        try:
            await self._smtp.noop()
        except (SMTPException, OSError):
            self._smtp.close()
            return False
        return True

    async def _hand_over(self, message: EmailMessage, to_address: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._smtp.send_message(message, sender=self._sender.addr_spec, recipients=[to_address])
        except SMTPSenderRefused as error:
            raise MailServerAwayError(_told(error)) from error
        except SMTPRecipientsRefused as error:
            raise _verdict(error.recipients[0]) from error
        except SMTPResponseException as error:
            raise _verdict(error) from error
        except (SMTPNotSupported, ValueError) as error:
            raise MailRefusedError(_told(error)) from error
        except (SMTPException, OSError) as error:
            self._smtp.close()
            raise MailDelayedError(_told(error)) from error


def read_sender(text: str) -> Address:
    """Read whom mails come from, "Scrip <no-reply@example.com>". Raises ValueError unless there are both."""
    name, address = parseaddr(text)
    if not name or "@" not in address:
        raise ValueError('a sender has a name and an address, as in "Scrip <no-reply@example.com>"')
    return Address(display_name=name, addr_spec=address)


def write(mail: Mail, *, sender: Address) -> EmailMessage:
    """Write the mail. Raises MailRefusedError for an address that cannot stand in a header."""
    message = EmailMessage()
    message["To"] = _recipient(mail)
    message["From"] = sender
    message["Subject"] = mail.subject
    message["Date"] = mail.written_at
    message["Message-ID"] = f"<{show('message', mail.id)}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message.set_boundary(f"=_{mail.id.hex}")
    return message


def _recipient(mail: Mail) -> Address:
    try:
        address = Address(display_name=mail.to_name, addr_spec=mail.to_address)
    except (ValueError, IndexError, MessageError) as error:  # all that the standard parser raises for strange ones
        raise MailRefusedError(f"not an address that mail can go to: {error}") from error
    if not (address.username and address.domain):
        raise MailRefusedError("not an address that mail can go to: it lacks a name or a domain")
    return address


def _verdict(answer: SMTPResponseException) -> MailDelayedError | MailRefusedError:
    """Judge what the server said of a recipient or a mail: 5xx is for good, anything else for now (RFC 5321, 4.2.1)."""
    return MailRefusedError(_told(answer)) if 500 <= answer.code < 600 else MailDelayedError(_told(answer))


def _told(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__
