"""What payments tells of money that came, failed to come, or went back."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ..credits import Credits
from ..ids import AccountId, GiftCardId, PurchaseId, RefundId, UserId, VoucherId
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


class DiscountTaken(BaseModel):
    """What took money off the list price, and how much; `name` is the tier's or the promo code."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    by: Literal["volume", "tier", "promo_code"]
    """What took it off."""
    name: str | None = None
    """Which tier, or which promo code."""
    amount: Money
    """How much it took off."""


class PaidByCard(BaseModel):
    """What may be shown of a card that paid."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    brand: Annotated[str, Field(max_length=50)]
    """As Stripe calls it: `visa`, `mastercard`, `amex`."""
    last4: Annotated[str, Field(max_length=4)]
    """Its last digits."""


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
    lots: Annotated[list[LotToGrant], Field(max_length=6)]
    """What it buys; none if it is a gift card, whose credits go to whoever redeems it."""
    payment_intent: str
    """Stripe's id of the payment."""
    pack: str | None = None
    """The pack, unless the amount was the customer's own choice."""
    description: str
    """What was bought, in words for the customer."""
    promo_code: str | None = None
    """The promo code that was redeemed, if any."""
    discount: Money | None = None
    """What was taken off the list price in all, if anything was; `paid` is what was left."""
    discounts: Annotated[list[DiscountTaken], Field(max_length=3)] = []
    """What took it off, in the order in which it did."""
    tier: str | None = None
    """The loyalty tier's name, if the account had one when it bought."""
    card: PaidByCard | None = None
    """The card, if it was paid by one that we know of."""
    gift_card: GiftCardId | None = None
    """The gift card, if it is one."""


class PaymentCardLearned(PaymentEvent):
    """It has become known by which card a payment was made, after `PaymentSucceeded` was told without."""

    type: ClassVar[str] = "scrip.payment.card_learned.v1"

    card: PaidByCard
    """The card that paid."""


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
    take_back: Annotated[list[LotToTakeBack], Field(max_length=6)]
    """The credits that go back with it, of each lot; none of a gift card, which is void instead."""
    refunds: list[RefundId] = []
    """Refunds whose end is known by now: what was set aside for them is taken, or free."""
    payment_intent: str
    """Stripe's id of the payment."""
    description: str
    """What was bought, in words for the customer."""
    paid_at: AwareDatetime | None = None
    """When it was paid."""
    card: PaidByCard | None = None
    """The card that it was paid by, if we know of one."""


class PaymentRefundFailed(PaymentEvent):
    """No money went back by a refund, or it came again after all; the totals are those without it."""

    type: ClassVar[str] = "scrip.payment.refund_failed.v1"

    refund: RefundId
    """The refund."""
    amount: Money
    """What was to go back."""
    reason: str | None
    """Why it did not."""
    take_back: Annotated[list[LotToTakeBack], Field(max_length=6)]
    """The credits that go back with what did go back, of each lot."""
    refunds: list[RefundId]
    """Refunds whose end is known by now: what was set aside for them is taken, or free."""
    description: str
    """What was bought, in words for the customer."""


class DisputeEvent(PaymentEvent):
    """Something about a dispute: the buyer's bank wants money back, or asks why it was taken (an inquiry)."""

    dispute: str
    """Stripe's id of the dispute."""
    amount: Money
    """What is disputed."""
    reason: str
    """Why, as the bank says: `fraudulent`, `product_not_received`."""
    take_back: Annotated[list[LotToTakeBack], Field(max_length=6)]
    """The credits that go back of each lot, in total, with all that refunds and banks have of the payment by now."""
    description: str
    """What was bought, in words for the customer."""


class DisputeOpened(DisputeEvent):
    """A payment is disputed; what the bank has not taken yet is to be set aside."""

    type: ClassVar[str] = "scrip.dispute.opened.v1"

    set_aside: Annotated[list[LotToTakeBack], Field(max_length=6)]
    """The credits that would go back besides; none once the bank has the money."""


class DisputeUpdated(DisputeEvent):
    """The bank took the money while a dispute is open, or gave it back."""

    type: ClassVar[str] = "scrip.dispute.updated.v1"

    withdrawn: bool
    """Whether the bank has the money."""


class DisputeClosed(DisputeEvent):
    """A dispute is over: won, and the money is ours again; lost; or it was but an inquiry."""

    type: ClassVar[str] = "scrip.dispute.closed.v1"

    outcome: Literal["won", "lost", "closed"]
    """How it ended."""


class EarlyFraudWarning(PaymentEvent):
    """A card's issuer suspects the payment, before anybody disputes it."""

    type: ClassVar[str] = "scrip.fraud.warned.v1"

    fraud_type: str
    """Of what kind, as the issuer says: `made_with_stolen_card`."""
    refund: RefundId | None = None
    """The refund that was begun for it, where the catalogue says so."""
    description: str
    """What was bought, in words for the customer."""


class VoucherRedeemed(Event):
    """Somebody redeemed a voucher or a gift card; its lot may be granted, once per voucher."""

    type: ClassVar[str] = "scrip.voucher.redeemed.v1"
    topic: ClassVar[Topic] = PAYMENTS_EVENTS
    source: ClassVar[str] = "/scrip/payments"

    account: AccountId
    """Whose credits they become."""
    user: UserId
    """Who redeemed it."""
    voucher: VoucherId
    """The voucher; of a gift card, the same digits as its own id."""
    occurred_at: AwareDatetime
    """When it was redeemed."""
    kind: LotKind
    """Of which kind the lot is; `purchased` of a gift card."""
    credits: Annotated[Credits, Field(gt=0)]
    """All credits of the lot."""
    expires_at: AwareDatetime | None = None
    """From when on they cannot be spent; never, if it is absent."""
    paid: Money | None = None
    """What was paid for them, if it is a gift card."""
    description: str
    """What was redeemed, in words for the customer."""


class GiftCardIssued(Event):
    """A gift card is paid for and due: whoever it is meant for is to have its code by mail, once."""

    type: ClassVar[str] = "scrip.gift_card.issued.v1"
    topic: ClassVar[Topic] = PAYMENTS_EVENTS
    source: ClassVar[str] = "/scrip/payments"

    account: AccountId
    """The buyer's account."""
    user: UserId
    """Who bought it."""
    gift_card: GiftCardId
    """The gift card."""
    occurred_at: AwareDatetime
    """When it was due."""
    credits: Annotated[Credits, Field(gt=0)]
    """What it is worth."""
    sender_name: Annotated[str, Field(max_length=200)]
    """What the buyer calls himself."""
    recipient_email: Annotated[str, Field(max_length=254)]
    """Where it goes."""
    recipient_name: Annotated[str, Field(max_length=200)]
    """To whom."""
    message: Annotated[str, Field(max_length=500)] | None = None
    """What the buyer has to say."""
    sealed_code: Annotated[str, Field(max_length=500)]
    """The code, sealed for who writes the mail."""


class GiftCardTakenBack(Event):
    """The price of a gift card that is redeemed went back, by a bank or at Stripe's dashboard, or came again.

    What of its credits is to be gone, in total: what is spent of them nobody owes, who redeemed it has not paid.
    """

    type: ClassVar[str] = "scrip.gift_card.taken_back.v1"
    topic: ClassVar[Topic] = PAYMENTS_EVENTS
    source: ClassVar[str] = "/scrip/payments"

    account: AccountId
    """The account that has redeemed it."""
    user: UserId
    """Who redeemed it."""
    voucher: VoucherId
    """What was redeemed."""
    revision: Annotated[int, Field(ge=1)]
    """Rises with every change of its purchase; an older one than was seen changes nothing."""
    occurred_at: AwareDatetime
    """When it became known."""
    credits: Annotated[Credits, Field(ge=0)]
    """How many of its credits are to be gone, in total; nothing once its price came back."""
    description: str
    """What was redeemed, in words for the customer."""
