"""The envelope of every event: CloudEvents 1.0, structured mode (one JSON document, `application/cloudevents+json`)."""

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

CONTENT_TYPE = "application/cloudevents+json"
LARGEST_EVENT_BYTES = 256 * 1024
"""What a consumer reads at most; a larger record is a dead letter."""

Name = Annotated[str, Field(min_length=1, max_length=255)]
ActorName = Annotated[str, StringConstraints(pattern=r"^[a-z]+:[A-Za-z0-9_.@-]{1,200}$")]
"""Who acts, such as `user:usr_...` or `key:key_...`."""


class CloudEvent(BaseModel):
    """One event. Unknown extension attributes are ignored, as CloudEvents asks of consumers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Name
    source: Name
    type: Name
    subject: Name | None = None
    time: AwareDatetime | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: Annotated[str, Field(max_length=64)] | None = None
    actor: ActorName | None = None
    """Of usage, who spends: what he may spend of the account is his limit too."""
    data: dict[str, Any] = Field(default_factory=dict)

    @field_validator("id", "source", "type", "subject")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and "\x00" in value:
            raise ValueError("a NUL character can be stored nowhere")
        return value

    def encode(self) -> bytes:
        """Write the event as it travels."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read an event as it travelled. Raises ValueError (pydantic's) for anything else."""
        if len(raw) > LARGEST_EVENT_BYTES:
            raise ValueError(f"an event has at most {LARGEST_EVENT_BYTES} bytes, this one {len(raw)}")
        return cls.model_validate_json(raw)
