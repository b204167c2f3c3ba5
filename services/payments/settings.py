"""Settings of the payments service."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from libs.chassis.settings import ServiceSettings, settings_for
from services.payments.domain.return_addresses import ReturnAddresses


class Settings(ServiceSettings):
    """What the payments service needs to run."""

    model_config = settings_for("payments")

    catalogue: Path = Field(validation_alias="SCRIP_CATALOGUE", description="the file that says what is sold, and how")

    credits_url: str | None = Field(
        None,
        validation_alias="SCRIP_CREDITS_URL",
        description="where the credits service listens; needed where the catalogue limits what may be bought",
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

    @field_validator("return_origins")
    @classmethod
    def _origins_can_be_read(cls, origins: str) -> str:
        _listed(origins, loopback=False)
        return origins

    @property
    def return_addresses(self) -> ReturnAddresses:
        """The addresses that buyers may return to."""
        return _listed(self.return_origins, loopback=self.return_loopback)


def _listed(origins: str, *, loopback: bool) -> ReturnAddresses:
    return ReturnAddresses.of((one.strip() for one in origins.split(",") if one.strip()), loopback=loopback)
