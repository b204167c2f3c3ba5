"""Settings that every service has; its own class adds what only it needs.

A setting is the environment variable named in its alias, or else `SCRIP_<SERVICE>_<FIELD>`. Only `app.py` reads them.
"""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def settings_for(service: str) -> SettingsConfigDict:
    """Say where a service's settings come from; frozen, and an unreadable value is an error at start."""
    return SettingsConfigDict(
        env_prefix=f"SCRIP_{service.upper()}_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )


class ServiceSettings(BaseSettings):
    """What every service needs to run."""

    model_config = SettingsConfigDict(frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL, as the service's own role")
    owner_database_url: SecretStr | None = Field(
        None, description="the same database as its owner; `migrate` alone needs it"
    )
    pool_size: int = Field(10, ge=2, le=200, description="database connections of one process")

    host: str = Field("127.0.0.1", description="where the HTTP server listens")
    port: int = Field(0, ge=0, le=65535, description="its port; 0 takes any free one")

    service_key_file: Path | None = Field(
        None, description="this service's private key (JWK), for calls to others; payments serves only with one"
    )
    service_keys_file: Path | None = Field(
        None, validation_alias="SCRIP_SERVICE_KEYS_FILE", description="the services' public keys (JWK set)"
    )

    kafka: str = Field(
        "127.0.0.1:9092", validation_alias="SCRIP_KAFKA", description="bootstrap servers, comma separated"
    )
    kafka_session_timeout_ms: int = Field(
        30_000, validation_alias="SCRIP_KAFKA_SESSION_TIMEOUT_MS", description="a consumer silent this long is replaced"
    )
    topic_replication: int = Field(1, validation_alias="SCRIP_TOPIC_REPLICATION", description="replicas of new topics")
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias="SCRIP_REDIS_URL",
        description="Redis or Valkey; the gateway alone uses it",
    )

    log_level: str = Field(
        "INFO",
        validation_alias="SCRIP_LOG_LEVEL",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR",
    )
    log_format: str = Field(
        "json",
        validation_alias="SCRIP_LOG_FORMAT",
        pattern="^(json|text)$",
        description="json, or text for reading along",
    )
    telemetry_endpoint: str | None = Field(
        None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT", description="OpenTelemetry collector; none, no traces"
    )
    clock_offset_file: Path | None = Field(
        None, validation_alias="SCRIP_CLOCK_OFFSET_FILE", description="seconds to move the clock by; for tests alone"
    )
    fail_point: str = Field("", validation_alias="SCRIP_FAIL_POINT", description="where to die; for tests alone")
    fail_point_file: Path | None = Field(
        None, validation_alias="SCRIP_FAIL_POINT_FILE", description="a file that will say where; for tests alone"
    )

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _names_a_role_and_a_database(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in ("postgresql", "postgres") or not parts.username or not parts.path.strip("/"):
                raise ValueError("it is written postgresql://role:password@host:port/database")
        return url
