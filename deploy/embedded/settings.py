"""Settings of the local stack: where its data lies, and which servers exist already."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).parents[2]


def user_cache() -> Path:
    """Return the folder for what can be fetched again, by the convention of desktop systems."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scrip"


class Settings(BaseSettings):
    """Each is an environment variable, `SCRIP_` before its name. A server whose address is given is not started."""

    model_config = SettingsConfigDict(env_prefix="SCRIP_", env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: str | None = Field(
        None, description="a PostgreSQL server, as one who may create roles and databases there"
    )
    kafka: str | None = Field(None, description="Kafka's bootstrap servers, comma separated")
    redis_url: str | None = Field(None, description="Redis or Valkey")
    smtp_url: str | None = Field(None, description="where mail is handed in; no mailbox of our own then")
    data: Path = Field(PROJECT / ".scrip", description="all data of the local servers, their logs and records")
    cache: Path = Field(
        default_factory=user_cache,
        description="Kafka's jars and what is made of them, once; `scrip` in the user's own cache folder if not set",
    )
    maven_repository: str | None = Field(None, description="a mirror to take Kafka's jars from, not Maven Central")
