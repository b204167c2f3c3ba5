"""Settings of the notifications service."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from libs.chassis.sealing import DEVELOPMENT_SECRET, read_secrets
from libs.chassis.settings import ServiceSettings, settings_for
from services.notifications.clients import MailServer, read_sender


class Settings(ServiceSettings):
    """What the notifications service needs to run."""

    model_config = settings_for("notifications")

    catalogue: Path = Field(
        validation_alias="SCRIP_CATALOGUE", description="the file that says what a credit is called"
    )
    smtp_url: SecretStr = Field(
        validation_alias="SCRIP_SMTP_URL",
        description="smtp://host:port, smtp+starttls://user:password@host:port or smtps://user:password@host:port",
    )
    smtp_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="how long connecting may take, and handing over a mail"
    )
    sender: str = Field("Scrip <no-reply@scrip.localhost>", description="whom mails come from: a name and an address")
    mail_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        validation_alias="SCRIP_MAIL_SECRET",
        description="what seals a gift card's code until it is mailed; comma separated while one is rotated",
    )
    keep_deliveries_days: int = Field(400, ge=30, description="how long the log of what was sent is kept")

    @property
    def mail_secrets(self) -> list[str]:
        """The secrets of mails: any of them may have sealed what comes."""
        return read_secrets(self.mail_secret.get_secret_value())

    @field_validator("mail_secret")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr) -> SecretStr:
        read_secrets(secret.get_secret_value())
        return secret

    @field_validator("smtp_url")
    @classmethod
    def _names_a_mail_server(cls, url: SecretStr) -> SecretStr:
        MailServer.at(url.get_secret_value())
        return url

    @field_validator("sender")
    @classmethod
    def _names_a_sender(cls, sender: str) -> str:
        read_sender(sender)
        return sender
