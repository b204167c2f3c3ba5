"""What people are told: one message per business event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.contracts.credits import Credits
from libs.contracts.events.payments_v1 import PaymentRefunded, PaymentSucceeded
from libs.contracts.ids import PurchaseId, show
from libs.contracts.money import Money


@dataclass(frozen=True, slots=True)
class Contact:
    """A person's address for what concerns an account."""

    account: UUID
    user: UUID
    email: str
    name: str


class Message(BaseModel):
    """What one business event has to tell: all that its template shows, as it was when the event came."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    template: ClassVar[str]

    purchase: PurchaseId
    description: str
    paid: Money
    payment: str
    at: AwareDatetime

    def business_key(self) -> str:
        """Tell the event from all others of its template: however often it arrives, it is told once."""
        return show("purchase", self.purchase)


class Receipt(Message):
    """A payment came, and these credits with it; the bonus is part of them."""

    template: ClassVar[str] = "receipt"

    credits: Credits
    bonus: Credits

    @classmethod
    def of(cls, event: PaymentSucceeded) -> Self:
        """Take from the event what a receipt says."""
        return cls(
            purchase=event.purchase,
            description=event.description,
            paid=event.paid,
            payment=event.payment_intent,
            at=event.occurred_at,
            credits=sum(lot.credits for lot in event.lots),
            bonus=sum(lot.bonus for lot in event.lots),
        )


class RefundNotice(Message):
    """Money went back: `amount` with this refund, `refunded` with all so far."""

    template: ClassVar[str] = "refund"

    amount: Money
    refunded: Money
    revision: int

    @classmethod
    def of(cls, event: PaymentRefunded, *, amount_minor: int) -> Self:
        """Take from the event what a notice says; it tells totals, we say what is new."""
        return cls(
            purchase=event.purchase,
            description=event.description,
            paid=event.paid,
            payment=event.payment_intent,
            at=event.occurred_at,
            amount=Money(amount_minor=amount_minor, currency=event.refunded.currency),
            refunded=event.refunded,
            revision=event.revision,
        )

    def business_key(self) -> str:
        """Tell this refund from the others of its purchase."""
        return f"{show('purchase', self.purchase)}/{self.revision}"


MESSAGES: Mapping[str, type[Message]] = {message.template: message for message in (Receipt, RefundNotice)}
"""Every kind of message by its template."""


def read_message(template: str, facts: Any) -> Message:
    """Read a message as it was recorded. Raises KeyError or ValueError for what this version does not know."""
    return MESSAGES[template].model_validate(facts)
