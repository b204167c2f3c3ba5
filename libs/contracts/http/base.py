"""What HTTP models have in common."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Request(BaseModel):
    """A request's body: a field that we do not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Answer(BaseModel):
    """An answer's body; readers ignore fields they do not know, so that we may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Page(Answer, Generic[T]):
    """A page of a list, newest first; `next_cursor` asks for the next one, null on the last."""

    data: list[T]
    """The items."""
    next_cursor: str | None = None
    """What to ask for as `cursor` to have the next page."""


Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, Field(min_length=1, max_length=200)]
IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
CALLER_HEADER = "Scrip-Caller"
"""Between services: on whose behalf a request is made, such as `user:usr_...`; scopes the idempotency key."""
