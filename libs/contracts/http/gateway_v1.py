"""What the gateway takes and answers beyond what it hands on from other services."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from ..credits import Credits
from ..ids import AccountId, ApiKeyId, UserId
from .base import Answer, Request
from .credits_v1 import Balance

Email = Annotated[
    str, StringConstraints(max_length=254, to_lower=True, strip_whitespace=True, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")
]
Password = Annotated[str, StringConstraints(min_length=10, max_length=200)]
Scope = Literal["usage:write", "charges:write", "holds:write", "credits:read", "admin"]


class Register(Request):
    """Sign up."""

    email: Email
    password: Password
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\x00]+$")]


class Login(Request):
    """Log in."""

    email: Email
    password: Annotated[str, StringConstraints(max_length=200)]


class Refresh(Request):
    """Trade a refresh token for new tokens; each works once."""

    refresh_token: Annotated[str, StringConstraints(max_length=200)]


class User(Answer):
    """A person, and the account he acts on."""

    id: UserId
    account: AccountId
    email: str
    name: str


class Session(Answer):
    """Tokens of a signed-in user; the balance is null while the ledger cannot be reached."""

    access_token: str
    """For `Authorization: Bearer`."""
    refresh_token: str
    """Trades for new tokens, once."""
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    """For how many seconds the access token is good."""
    user: User
    balance: Balance | None


class Me(Answer):
    """Who is signed in, and his balance."""

    user: User
    balance: Balance | None


class NewApiKey(Request):
    """Ask for a key for a service."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"^[^\x00]+$")]
    """What people call it."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)]
    """What it may do."""


class ApiKey(Answer):
    """A key as it can be seen later; `secret` only in the answer that made it."""

    id: ApiKeyId
    name: str
    prefix: str
    """How the key begins."""
    scopes: list[Scope]
    created_at: AwareDatetime
    last_used_at: AwareDatetime | None = None
    """At most some seconds behind."""
    secret: str | None = None
    """The whole key, to be kept by its holder."""


class LiveBalance(Answer):
    """The balance at a sequence, as the live stream tells it: show it unless a higher one was seen."""

    account: AccountId
    available: Credits
    held: Credits
    overdraft: Credits
    debt: Credits
    sequence: int
    """Also the event's `id`."""


class EventsAccepted(Answer):
    """How many usage events the broker has."""

    accepted: int
