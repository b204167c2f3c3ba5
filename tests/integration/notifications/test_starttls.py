"""What is said to the mail server is said in private, if its address asks for that."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.contracts.ids import new_id
from services.notifications.clients import Mail, Mailer, MailServer, MailServerAwayError
from tests.integration.notifications.mail_server import ScriptedMailServer
from tests.integration.notifications.people import NOW

MAIL = Mail(
    id=new_id(),
    to_address="ada@example.com",
    to_name="Ada",
    subject="Hello",
    text="Hello\n",
    html="<p>Hello</p>\n",
    written_at=NOW,
)


def certificate(folder: Path) -> Path:
    """Make a certificate for `localhost`, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "localhost.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path)


@pytest.fixture
async def private_server(pem: Path) -> AsyncIterator[ScriptedMailServer]:
    """A server that takes mail over TLS alone."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pem)
    server = ScriptedMailServer(tls)
    await server.start()
    yield server
    await server.stop()


def mailer_to(url: str) -> Mailer:
    return Mailer(MailServer.at(url), sender="Scrip <no-reply@scrip.example>", timeout_seconds=5)


async def test_a_mail_goes_over_tls_when_the_address_says_starttls(
    private_server: ScriptedMailServer, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    mailer = mailer_to(private_server.url)
    await mailer.send(MAIL)
    await mailer.stop()
    assert private_server.recipients == ["ada@example.com"]


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(private_server: ScriptedMailServer) -> None:
    with pytest.raises(MailServerAwayError, match="certificate verify failed"):
        await mailer_to(private_server.url).send(MAIL)
    assert private_server.mails == []


async def test_a_server_that_cannot_encrypt_gets_no_mail_that_was_to_be_private(
    mail_server: ScriptedMailServer,
) -> None:
    with pytest.raises(MailServerAwayError, match="STARTTLS"):
        await mailer_to(mail_server.url.replace("smtp://", "smtp+starttls://")).send(MAIL)
    assert mail_server.mails == []
