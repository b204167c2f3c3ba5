"""What the gateway tells of accounts and the people behind them: where notifications learns addresses."""

from typing import Annotated, ClassVar

from pydantic import Field

from ..ids import AccountId, UserId
from ..topics import ACCOUNTS_EVENTS, Topic
from .base import Event


class AccountOpened(Event):
    """Somebody signed up."""

    type: ClassVar[str] = "scrip.account.opened.v1"
    topic: ClassVar[Topic] = ACCOUNTS_EVENTS
    source: ClassVar[str] = "/scrip/gateway"

    account: AccountId
    """The new account, which is his alone."""
    user: UserId
    """Who signed up."""
    email: Annotated[str, Field(max_length=254)]
    """Where mail about the account goes."""
    name: Annotated[str, Field(max_length=200)]
    """What he calls himself."""
