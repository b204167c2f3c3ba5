"""Cards that are saved, to be paid with again. Of a number nobody but Stripe ever knows more than the last digits."""

from typing import Literal

from pydantic import AwareDatetime

from ..ids import AccountId, CardSetupId, PaymentMethodId
from .base import Answer, Request
from .payments_v1 import Buyer

CardSetupState = Literal["created", "unknown", "requires_action", "processing", "failed", "succeeded", "canceled"]


class StartCardSetup(Request):
    """The gateway's request: who wants to save a card."""

    buyer: Buyer


class CardSetup(Answer):
    """The wish to save a card, and where it stands."""

    id: CardSetupId
    account: AccountId
    state: CardSetupState
    """Where it stands; once it `succeeded`, the card is in the list."""
    client_secret: str | None = None
    """For Stripe's Elements, while a card can be given."""
    failure: str | None = None
    """Why the last card that was given could not be saved."""
    payment_method: PaymentMethodId | None = None
    """The card that was saved."""
    created_at: AwareDatetime


class PaymentMethod(Answer):
    """A saved card."""

    id: PaymentMethodId
    type: Literal["card"] = "card"
    brand: str
    """Such as `visa`."""
    last4: str
    """The last digits of its number."""
    exp_month: int
    exp_year: int
    wallet: str | None
    """Such as `apple_pay`, if it is a wallet's."""
    default: bool
    """Whether it pays if no card is named; one does, if there is one."""
    saved_at: AwareDatetime
