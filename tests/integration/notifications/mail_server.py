"""A real SMTP server that takes every mail, unless it is told to answer otherwise, or to be away."""

import asyncio
from collections import deque
from email import message_from_bytes, policy
from email.message import EmailMessage
from ssl import SSLContext
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

LOSES_THE_ANSWER = ""
"""Instead of an answer: the server takes the mail and dies before it says so."""


def text_of(mail: EmailMessage, form: str = "plain") -> str:
    """Read a mail's text, or its HTML."""
    part = mail.get_body((form,))
    assert part is not None
    return str(part.get_content())


class ScriptedMailServer:
    """Listens on one port for good. Answers wait in `to_recipients` and `to_mails`; when there is none, all is well."""

    def __init__(self, tls: SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.to_recipients: deque[str] = deque()
        self.to_mails: deque[str] = deque()
        self.port = 0
        self._tls = tls
        self._open: list[SMTP] = []
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Tell where it is."""
        return f"smtp{'+starttls' if self._tls else ''}://localhost:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connection, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away, and take the open connections along."""
        if self._listening is not None:
            self._listening.close()
        self.cut_connections()

    def cut_connections(self) -> None:
        """Close what is open, as a server does with those who rest too long."""
        for connection in self._open:
            if isinstance(connection.transport, asyncio.WriteTransport):
                connection.transport.abort()
        self._open.clear()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd asks for this
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Answer to a recipient."""
        answer = self.to_recipients.popleft() if self.to_recipients else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - and for this
        """Answer to a mail, after taking it if the answer is not a no."""
        answer = self.to_mails.popleft() if self.to_mails else "250 OK"
        if answer == LOSES_THE_ANSWER or answer.startswith("250"):
            content = cast("bytes", envelope.original_content)
            self.mails.append(message_from_bytes(content, policy=policy.default))
            self.recipients.extend(envelope.rcpt_tos)
        if answer == LOSES_THE_ANSWER:
            self.cut_connections()
        return answer

    def _connection(self) -> SMTP:
        self.connections += 1
        options: dict[str, Any] = {"tls_context": self._tls, "require_starttls": True} if self._tls else {}
        connection = SMTP(self, hostname="localhost", **options)
        self._open.append(connection)
        return connection
