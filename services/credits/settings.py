"""Settings of the credits service."""

from pathlib import Path

from pydantic import Field

from libs.chassis.settings import ServiceSettings, settings_for


class Settings(ServiceSettings):
    """What the credits service needs to run."""

    model_config = settings_for("credits")

    catalogue: Path = Field(validation_alias="SCRIP_CATALOGUE", description="the file that says what is sold, and how")
    usage_batch: int = Field(2000, ge=1, le=10_000, description="usage events that one transaction applies at most")
    usage_consumers: int = Field(2, ge=1, le=12, description="members of the group that consumes usage, a worker")
    audit_folder: Path | None = Field(
        None,
        description="where the heads of the ledger's chain are exported to, on another disk at best; none, nowhere",
    )
