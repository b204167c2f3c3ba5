"""What the notifications service answers."""

from typing import Literal

from pydantic import AwareDatetime

from ..ids import AccountId, MessageId, UserId
from .base import Answer


class Delivery(Answer):
    """A message to a person and where it stands; `business_key` names, with the template, what it tells of."""

    id: MessageId
    account: AccountId
    user: UserId
    template: str
    business_key: str
    state: Literal["waiting_for_contact", "pending", "sent", "failed"]
    attempts: int
    next_attempt_at: AwareDatetime | None
    last_error: str | None
    sent_to: str | None
    recorded_at: AwareDatetime
    settled_at: AwareDatetime | None
