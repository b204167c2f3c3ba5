"""A mailbox that takes every mail and delivers none: SMTP in, a page and JSON out.

It stands where Mailpit stands in docker compose. `python -m deploy.embedded.mailbox --smtp-port P --http-port P
--folder F` keeps each mail as one `.eml` file, its envelope in headers, before the sender is told so.
"""

import argparse
import asyncio
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from pathlib import Path
from typing import Annotated

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from libs.contracts import ids

MailId = Annotated[str, PathParameter(pattern="^[0-9a-f-]{36}$")]

TEMPLATES = Path(__file__).with_name("templates")
# What a mail brings is escaped, and its HTML can neither run anything nor load anything from elsewhere.
CONTENT_RULE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}


class Summary(BaseModel):
    """One line of the list; sender and recipients are the envelope's."""

    id: str
    received_at: datetime
    sender: str
    recipients: list[str]
    subject: str


class Mail(Summary):
    """A mail with its parts; those it has not are empty. Of several equal headers the last is shown."""

    headers: dict[str, str]
    text: str
    html: str
    attachments: list[str]


class Mailbox:
    """Mails in a folder, in the order of their arrival, which their ids (UUIDv7) and so their names follow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, envelope: Envelope) -> str:
        """Write a mail down, whole or not at all; returns its id."""
        mail_id = str(ids.new_id())
        head = [f"X-Envelope-From: {envelope.mail_from}", *(f"X-Envelope-To: {to}" for to in envelope.rcpt_tos)]
        draft = self._folder / f"{mail_id}.draft"
        draft.write_bytes("".join(f"{line}\r\n" for line in head).encode("utf-8") + (envelope.original_content or b""))
        draft.replace(self.file(mail_id))
        return mail_id

    def newest_first(self, recipient: str | None = None) -> list[Summary]:
        """List the mails, all or those to one recipient."""
        mails = (self._summary(path) for path in sorted(self._folder.glob("*.eml"), reverse=True))
        return [mail for mail in mails if recipient in (None, *mail.recipients)]

    def mail(self, mail_id: str) -> Mail:
        """Read one mail; raises FileNotFoundError."""
        path = self.file(mail_id)
        message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
        return Mail(
            **self._summary(path).model_dump(),
            headers={name: str(value) for name, value in message.items()},
            text=_body(message, "plain"),
            html=_body(message, "html"),
            attachments=[part.get_filename() or "" for part in message.iter_attachments()],
        )

    def file(self, mail_id: str) -> Path:
        """Return where a mail lies, as it came."""
        return self._folder / f"{mail_id}.eml"

    def _summary(self, path: Path) -> Summary:
        with path.open("rb") as file:
            message = BytesHeaderParser(policy=policy.default).parse(file)
        return Summary(
            id=path.stem,
            received_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            sender=str(message["X-Envelope-From"]),
            recipients=[str(to) for to in message.get_all("X-Envelope-To", [])],
            subject=str(message["Subject"] or ""),
        )


class Receiver:
    """What aiosmtpd calls for each mail, by these names."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # its name
        """Keep a mail, then say so."""
        return f"250 kept as {await asyncio.to_thread(self._mailbox.keep, envelope)}"


def web(mailbox: Mailbox) -> FastAPI:
    """Make the pages and the JSON."""
    app = FastAPI(title="Mailbox", docs_url=None, redoc_url=None)
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)

    @app.get("/")
    def list_page() -> HTMLResponse:
        page = pages.get_template("mailbox.html").render(mails=mailbox.newest_first())
        return HTMLResponse(page, headers=CONTENT_RULE)

    @app.get("/mails/{mail_id}")
    def mail_page(mail_id: MailId) -> HTMLResponse:
        page = pages.get_template("mail.html").render(mail=_found(mailbox, mail_id))
        return HTMLResponse(page, headers=CONTENT_RULE)

    @app.get("/messages")
    def messages(to: str | None = None) -> list[Summary]:
        return mailbox.newest_first(to)

    @app.get("/messages/{mail_id}")
    def message(mail_id: MailId) -> Mail:
        return _found(mailbox, mail_id)

    @app.get("/messages/{mail_id}/source")
    def source(mail_id: MailId) -> FileResponse:
        return FileResponse(mailbox.file(_found(mailbox, mail_id).id), media_type="message/rfc822")

    return app


async def serve(mailbox: Mailbox, *, smtp_port: int, http_port: int) -> None:
    """Serve both until SIGINT or SIGTERM."""

    def session() -> SMTP:
        return SMTP(Receiver(mailbox), hostname="localhost", enable_SMTPUTF8=True)

    smtp = await asyncio.get_running_loop().create_server(session, "127.0.0.1", smtp_port)
    config = uvicorn.Config(web(mailbox), host="127.0.0.1", port=http_port, log_level="warning", access_log=False)
    async with smtp:
        await uvicorn.Server(config).serve()


def _found(mailbox: Mailbox, mail_id: str) -> Mail:
    try:
        return mailbox.mail(mail_id)
    except FileNotFoundError:
        raise HTTPException(404, "no such mail") from None


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part else ""


def main() -> None:
    """Read the command line and serve."""
    options = argparse.ArgumentParser(description="take every mail, show it, deliver none")
    options.add_argument("--smtp-port", type=int, required=True)
    options.add_argument("--http-port", type=int, required=True)
    options.add_argument("--folder", type=Path, required=True)
    given = options.parse_args()
    asyncio.run(serve(Mailbox(given.folder), smtp_port=given.smtp_port, http_port=given.http_port))


if __name__ == "__main__":
    main()
