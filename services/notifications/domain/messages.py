"""What people are told: one message per business event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.contracts.credits import Credits
from libs.contracts.events.payments_v1 import (
    DiscountTaken,
    GiftCardIssued,
    PaidByCard,
    PaymentRefunded,
    PaymentSucceeded,
)
from libs.contracts.ids import GiftCardId, PurchaseId, show
from libs.contracts.money import Money


@dataclass(frozen=True, slots=True)
class Contact:
    """A person's address for what concerns an account."""

    account: UUID
    user: UUID
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is told of what another has done, and whom we need not know."""

    email: str
    name: str


class Message(BaseModel):
    """What one business event has to tell: all that its template shows, as it was when the event came."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    template: ClassVar[str]

    def business_key(self) -> str:
        """Tell the event from all others of its template: however often it arrives, it is told once."""
        raise NotImplementedError


class PaymentMessage(Message):
    """What all messages about a payment say."""

    purchase: PurchaseId
    description: str
    paid: Money
    payment: str
    at: AwareDatetime
    card: PaidByCard | None = None


class Receipt(PaymentMessage):
    """A payment came, and these credits with it, the bonus being part of them; or a gift card for somebody else."""

    template: ClassVar[str] = "receipt"

    credits: Credits
    bonus: Credits
    list_price: Money | None = None
    discounts: list[DiscountTaken] = []
    tier: str | None = None
    promo_code: str | None = None
    gift_card: bool = False

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
            list_price=event.paid + event.discount if event.discount else None,
            discounts=event.discounts,
            tier=event.tier,
            promo_code=event.promo_code,
            card=event.card,
            gift_card=event.gift_card is not None,
        )

    @staticmethod
    def key_of(purchase: UUID) -> str:
        """Name the receipt of a purchase."""
        return show("purchase", purchase)

    def business_key(self) -> str:
        """Name the purchase: of each there is one."""
        return self.key_of(self.purchase)


class RefundNotice(PaymentMessage):
    """Money went back: `amount` with this refund, `refunded` with all so far."""

    template: ClassVar[str] = "refund"

    amount: Money
    refunded: Money
    revision: int
    paid_at: AwareDatetime | None = None

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
            paid_at=event.paid_at,
            card=event.card,
        )

    def business_key(self) -> str:
        """Tell this refund from the others of its purchase."""
        return f"{show('purchase', self.purchase)}/{self.revision}"


class GiftCardMail(Message):
    """Somebody is given a gift card; its code is opened only to be written into the mail."""

    template: ClassVar[str] = "gift_card"

    gift_card: GiftCardId
    credits: Credits
    sender_name: str
    message: str | None
    sealed_code: str

    @classmethod
    def of(cls, event: GiftCardIssued) -> Self:
        """Take from the event what the mail says."""
        return cls(
            gift_card=event.gift_card,
            credits=event.credits,
            sender_name=event.sender_name,
            message=event.message,
            sealed_code=event.sealed_code,
        )

    def business_key(self) -> str:
        """Name the gift card: it is given once."""
        return show("gift_card", self.gift_card)


MESSAGES: Mapping[str, type[Message]] = {kind.template: kind for kind in (Receipt, RefundNotice, GiftCardMail)}
"""Every kind of message by its template."""


def read_message(template: str, facts: Any) -> Message:
    """Read a message as it was recorded. Raises KeyError or ValueError for what this version does not know."""
    return MESSAGES[template].model_validate(facts)
