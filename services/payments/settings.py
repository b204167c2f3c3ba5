"""Settings of the payments service."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from libs.chassis.sealing import DEVELOPMENT_SECRET, read_secrets
from libs.chassis.settings import ServiceSettings, settings_for
from services.payments.domain.return_addresses import ReturnAddresses


class Settings(ServiceSettings):
    """What the payments service needs to run."""

    model_config = settings_for("payments")

    catalogue: Path = Field(validation_alias="SCRIP_CATALOGUE", description="the file that says what is sold, and how")

    credits_url: str = Field(
        validation_alias="SCRIP_CREDITS_URL",
        description="where the credits service listens, which sets aside what a refund takes",
    )

    stripe_secret_key: SecretStr = Field(
        validation_alias="STRIPE_SECRET_KEY",
        description="sk_... or rk_...; a live key takes real money",
    )
    stripe_publishable_key: str = Field(
        validation_alias="STRIPE_PUBLISHABLE_KEY",
        pattern="^pk_",
        description="pk_..., handed to frontends for Stripe's Elements",
    )
    stripe_api_base: str | None = Field(
        None, validation_alias="SCRIP_STRIPE_API_BASE", description="another address than Stripe's own: a sandbox's"
    )
    stripe_timeout_seconds: float = Field(8, gt=0, le=80, description="how long one call to Stripe may take")
    stripe_retries: int = Field(2, ge=0, le=5, description="how often a call that failed is repeated at once")

    return_origins: str = Field(
        "",
        description="where buyers may return to after paying, comma separated: https://shop.example, or myapp:// for an"
        " app's own scheme",
    )
    return_loopback: bool = Field(False, description="also allow http://localhost and 127.0.0.1, on any port")
    checkout_minutes: int = Field(120, ge=40, le=1430, description="how long a hosted payment page can be paid")
    payment_hours: int = Field(
        24, ge=1, le=720, description="how long a payment without a page of its own is waited for before it is canceled"
    )

    voucher_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="what codes of vouchers and gift cards are made of; comma separated while one is rotated: the first"
        " makes codes, all are known",
    )
    mail_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        validation_alias="SCRIP_MAIL_SECRET",
        description="what seals a gift card's code until it is mailed; comma separated while one is rotated",
    )

    @field_validator("voucher_secret", "mail_secret")
    @classmethod
    def _are_secrets(cls, secret: SecretStr) -> SecretStr:
        read_secrets(secret.get_secret_value())
        return secret

    @model_validator(mode="after")
    def _real_money_has_real_secrets(self) -> Self:
        live = self.stripe_secret_key.get_secret_value().startswith(("sk_live_", "rk_live_"))
        secrets = (*self.voucher_secrets, *self.mail_secrets)
        if live and DEVELOPMENT_SECRET in secrets:
            raise ValueError("a live Stripe key needs SCRIP_PAYMENTS_VOUCHER_SECRET and SCRIP_MAIL_SECRET of your own")
        return self

    @field_validator("return_origins")
    @classmethod
    def _origins_can_be_read(cls, origins: str) -> str:
        _listed(origins, loopback=False)
        return origins

    @property
    def voucher_secrets(self) -> list[str]:
        """The secrets of codes, the one that makes new ones first."""
        return read_secrets(self.voucher_secret.get_secret_value())

    @property
    def mail_secrets(self) -> list[str]:
        """The secrets of mails, the one that seals first."""
        return read_secrets(self.mail_secret.get_secret_value())

    @property
    def return_addresses(self) -> ReturnAddresses:
        """The addresses that buyers may return to."""
        return _listed(self.return_origins, loopback=self.return_loopback)


def _listed(origins: str, *, loopback: bool) -> ReturnAddresses:
    return ReturnAddresses.of((one.strip() for one in origins.split(",") if one.strip()), loopback=loopback)
