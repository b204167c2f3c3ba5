"""Settings of the gateway."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from libs.chassis.settings import ServiceSettings, settings_for


class Settings(ServiceSettings):
    """What the gateway needs to run."""

    model_config = settings_for("gateway")

    service_key_file: Path = Field(description="the gateway's private key (JWK), for calls to payments and credits")
    access_key_file: Path = Field(description="the private key (JWK, P-256) that signs access tokens of users")
    credits_url: str = Field(validation_alias="SCRIP_CREDITS_URL", description="where the credits service listens")
    payments_url: str = Field(validation_alias="SCRIP_PAYMENTS_URL", description="where the payments service listens")

    stripe_webhook_secret: SecretStr = Field(
        validation_alias="STRIPE_WEBHOOK_SECRET",
        description="signing secrets of the webhook endpoint, comma separated; several while one is rotated",
    )
    stripe_webhook_paths: str = Field(
        "", description="paths that take Stripe's webhooks besides /v1/webhooks/stripe, comma separated"
    )
    webhook_pool_size: int = Field(4, ge=1, le=50, description="database connections that nothing but webhooks may use")

    catalogue_seconds: float = Field(10, ge=0, le=3600, description="how long packs are kept before we ask again")

    auth_per_address_a_minute: int = Field(300, ge=1, description="sign-ups, log-ins and refreshes of one address")
    login_per_email_a_minute: int = Field(20, ge=1, description="log-ins with one e-mail address, right or wrong")
    public_per_address_a_minute: int = Field(6_000, ge=1, description="requests of one address that need no token")
    requests_per_principal_a_minute: int = Field(60_000, ge=1, description="requests of one user or API key")

    codes_per_user_a_minute: int = Field(10, ge=1, description="codes that one user may try, right or wrong")
    codes_per_address_a_minute: int = Field(60, ge=1, description="codes that may be tried from one address")

    payments_per_user_a_minute: int = Field(20, ge=1, description="payments and saved cards that one user may begin")
    payments_per_address_a_minute: int = Field(120, ge=1, description="the same from one address")

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _has_a_secret(cls, value: SecretStr) -> SecretStr:
        if not comma_separated(value.get_secret_value()):
            raise ValueError("name at least one secret")
        return value

    @field_validator("stripe_webhook_paths")
    @classmethod
    def _are_paths(cls, value: str) -> str:
        if not all(path.startswith("/") for path in comma_separated(value)):
            raise ValueError("a path begins with /")
        return value


def comma_separated(text: str) -> list[str]:
    """Read a list that is written with commas; what is empty does not count."""
    return [part.strip() for part in text.split(",") if part.strip()]
