"""Settings of the notifications service."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

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
    keep_deliveries_days: int = Field(400, ge=30, description="how long the log of what was sent is kept")

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
