"""What payments tells of money that came, failed to come, or went back."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ..credits import Credits
from ..ids import AccountId, PurchaseId, UserId
from ..money import Money
from ..topics import PAYMENTS_EVENTS, Topic
from .base import Event

LotKind = Literal["purchased", "membership", "promotional", "refunded", "granted", "transferred"]


class LotToGrant(BaseModel):
    """A lot that a payment bought; at most one per kind and purchase. `bonus` is the part of it that came on top."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: LotKind
    credits: Annotated[Credits, Field(gt=0)]
    bonus: Annotated[Credits, Field(ge=0, json_schema_extra={"default": "0"})] = 0
    expires_at: AwareDatetime | None = None


class LotToTakeBack(BaseModel):
    """How many credits of a payment's lot go back, in total; none, once every refund of it has failed after all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: LotKind
    credits: Annotated[Credits, Field(ge=0)]


class PaymentEvent(Event):
    """What every event about a purchase says; `revision` rises with each, and older revisions are to be ignored."""

    topic: ClassVar[Topic] = PAYMENTS_EVENTS
    source: ClassVar[str] = "/scrip/payments"

    account: AccountId
    user: UserId
    purchase: PurchaseId
    revision: Annotated[int, Field(ge=1)]
    occurred_at: AwareDatetime


class PaymentSucceeded(PaymentEvent):
    """Stripe has the money; the lots may be granted, once per purchase and kind."""

    type: ClassVar[str] = "scrip.payment.succeeded.v1"

    paid: Money
    lots: Annotated[list[LotToGrant], Field(min_length=1, max_length=6)]
    payment_intent: str
    pack: str | None = None
    description: str


class PaymentFailed(PaymentEvent):
    """A try to pay failed; the purchase may still be paid by another try."""

    type: ClassVar[str] = "scrip.payment.failed.v1"

    amount: Money
    reason: str
    description: str


class PaymentRefunded(PaymentEvent):
    """Money went back. `refunded` and `take_back` are totals over all refunds so far, whatever order they came in."""

    type: ClassVar[str] = "scrip.payment.refunded.v1"

    paid: Money
    refunded: Money
    take_back: Annotated[list[LotToTakeBack], Field(min_length=1, max_length=6)]
    payment_intent: str
    description: str
