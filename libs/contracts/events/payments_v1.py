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

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kind: LotKind
    """Of which kind the lot is; it decides when the lot burns."""
    credits: Annotated[Credits, Field(gt=0)]
    """All credits of the lot, the bonus included."""
    bonus: Annotated[Credits, Field(ge=0, json_schema_extra={"default": "0"})] = 0
    """How many of them came on top."""
    expires_at: AwareDatetime | None = None
    """From when on they cannot be spent; never, if it is absent."""


class LotToTakeBack(BaseModel):
    """How many credits of a payment's lot go back, in total; none, once every refund of it has failed after all."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kind: LotKind
    """Which of the purchase's lots."""
    credits: Annotated[Credits, Field(ge=0)]
    """How many of its credits go back, over all refunds so far."""


class PaymentEvent(Event):
    """What every event about a purchase says; `revision` rises with each, and older revisions are to be ignored."""

    topic: ClassVar[Topic] = PAYMENTS_EVENTS
    source: ClassVar[str] = "/scrip/payments"

    account: AccountId
    """Whose credits it is about."""
    user: UserId
    """Who started the purchase."""
    purchase: PurchaseId
    """The purchase."""
    revision: Annotated[int, Field(ge=1)]
    """Rises with every event of the purchase."""
    occurred_at: AwareDatetime
    """When payments recorded it."""


class PaymentSucceeded(PaymentEvent):
    """Stripe has the money; the lots may be granted, once per purchase and kind."""

    type: ClassVar[str] = "scrip.payment.succeeded.v1"

    paid: Money
    """What the customer paid."""
    lots: Annotated[list[LotToGrant], Field(min_length=1, max_length=6)]
    """What it buys."""
    payment_intent: str
    """Stripe's id of the payment."""
    pack: str | None = None
    """The pack, unless the amount was the customer's own choice."""
    description: str
    """What was bought, in words for the customer."""


class PaymentFailed(PaymentEvent):
    """A try to pay failed; the purchase may still be paid by another try."""

    type: ClassVar[str] = "scrip.payment.failed.v1"

    amount: Money
    """What was to be paid."""
    reason: str
    """Why not, in words that Stripe means for the customer."""
    description: str
    """What was to be bought, in words for the customer."""


class PaymentRefunded(PaymentEvent):
    """Money went back. `refunded` and `take_back` are totals over all refunds so far, whatever order they came in."""

    type: ClassVar[str] = "scrip.payment.refunded.v1"

    paid: Money
    """What the customer paid in the first place."""
    refunded: Money
    """What has gone back of it, over all refunds so far; it falls if a refund fails after all."""
    take_back: Annotated[list[LotToTakeBack], Field(min_length=1, max_length=6)]
    """The credits that go back with it, of each lot."""
    payment_intent: str
    """Stripe's id of the payment."""
    description: str
    """What was bought, in words for the customer."""
