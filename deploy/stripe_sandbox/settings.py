"""What one run of the sandbox is given, on the command line or in the environment."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, CliImplicitFlag, SettingsConfigDict

API_VERSION = "2026-10-28.endive"
"""The one version of Stripe's API that the sandbox plays."""


class Settings(BaseSettings):
    """A local stand-in for Stripe."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="STRIPE_SANDBOX_",
        populate_by_name=True,
        cli_prog_name="python -m deploy.stripe_sandbox",
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(12111, ge=0, le=65535, description="port to listen on; 0 takes a free one and prints it")
    public_url: str | None = Field(None, description="address under which browsers reach it, if another one")
    webhook_url: str | None = Field(None, description="where events are delivered")
    webhook_secret: str | None = Field(None, min_length=1, description="whsec_... that signs them")
    webhook_events: str = Field("*", description="event types delivered there, separated by commas")
    data: Path | None = Field(None, description="journal file; without it everything is forgotten at the end")
    clock_offset_file: Path | None = Field(
        None, validation_alias="SCRIP_CLOCK_OFFSET_FILE", description="file holding seconds to add to the real time"
    )
    retry_first_s: float = Field(0.5, gt=0, description="pause before a webhook's second attempt; doubles from there")
    retry_longest_s: float = Field(30, gt=0, description="longest pause between attempts of a webhook")
    webhook_timeout_s: float = Field(10, gt=0, description="how long a webhook may take to be answered")
    charge_settles_s: float = Field(0, ge=0, description="how long a charge waits for its balance transaction")
    debit_settles_s: float = Field(2, ge=0, description="how long a bank debit stays processing")
    aftermath_s: float = Field(
        1, ge=0, description="how long after a payment or refund a test card's dispute, warning or failure follows"
    )
    scenario: Path | None = Field(None, description="YAML or JSON file of what is to befall payments and webhooks")
    requests_kept: int = Field(5000, gt=0, description="how many requests /sandbox/requests remembers")
    quiet: CliImplicitFlag[bool] = Field(False, description="say nothing but the address")

    @model_validator(mode="after")
    def webhooks_are_signed(self) -> Self:
        """Refuse to deliver webhooks that nobody could verify."""
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("--webhook-url needs --webhook-secret")
        return self
