"""Vouchers and gift cards: codes that bring credits, once."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from ..credits import Credits, RequestedCredits
from ..ids import AccountId, GiftCardId, PurchaseId, UserId, VoucherBatchId, VoucherId
from ..money import Currency, Money
from ..price_book import Slug
from .base import Answer, Request
from .grants_v1 import StaffKind
from .limits_v1 import Words
from .payments_v1 import Buyer, Url

LARGEST_BATCH = 10_000
"""Vouchers that are issued at once."""

GiftCardState = Literal["scheduled", "delivered", "redeemed", "void"]
VoucherState = Literal["issued", "redeemed", "void"]
Email = Annotated[
    str, StringConstraints(max_length=254, strip_whitespace=True, pattern=r"^[^@\s\x00]{1,64}@[^@\s\x00]+$")
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\x00]+$")]


class IssueVouchers(Request):
    """Vouchers to be issued, all of the same worth."""

    count: Annotated[int, Field(ge=1, le=LARGEST_BATCH, strict=True)]
    """How many."""
    credits: RequestedCredits
    """What each brings."""
    kind: StaffKind = "promotional"
    """Of which kind their lots are; it decides when they burn."""
    expires_at: AwareDatetime | None = None
    """From when on they cannot be redeemed; never, if absent."""
    credits_expire_after_days: Annotated[int, Field(ge=1, le=36500, strict=True)] | None = None
    """How many days after it was redeemed a voucher's credits expire; never, if absent."""
    note: Words
    """What they are for; staff see it."""
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")] | None = None
    """A name of your own, such as a campaign's."""


class VoucherBatch(Answer):
    """Vouchers that were issued together, and what became of them."""

    id: VoucherBatchId
    count: int
    """How many there are."""
    redeemed: int
    """How many of them were redeemed."""
    void: int
    """How many of them are void."""
    credits: Credits
    """What each brings."""
    kind: str
    expires_at: AwareDatetime | None
    credits_expire_after_days: int | None
    note: str
    reference: str | None
    issued_by: str
    issued_at: AwareDatetime


class IssuedVoucher(Answer):
    """A voucher with its code, which is told this once."""

    id: VoucherId
    code: str
    """In groups of four; capitals and dashes do not matter."""


class IssuedVouchers(Answer):
    """A batch with its codes."""

    batch: VoucherBatch
    vouchers: list[IssuedVoucher]


class Voucher(Answer):
    """A voucher without its code."""

    id: VoucherId
    batch: VoucherBatchId
    state: VoucherState


class RedeemCode(Request):
    """A code as somebody typed it."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class RedeemVoucher(RedeemCode):
    """The gateway's request: the code, and who has typed it."""

    account: AccountId
    user: UserId


class Redemption(Answer):
    """What a code has brought; its credits are in the balance within seconds."""

    voucher: VoucherId
    account: AccountId
    credits: Credits
    kind: str
    """Of which kind their lot is."""
    expires_at: AwareDatetime | None
    """From when on they cannot be spent."""
    redeemed_at: AwareDatetime


class GiftCardOffer(Answer):
    """A gift card as it is offered."""

    id: str
    name: str
    credits: Credits
    expires_after_days: int | None = None
    """How many days after it is redeemed its credits expire; never, if it is absent."""
    prices: list[Money]
    """One per currency."""


class GiftCardOffers(Answer):
    """All gift cards on offer, and what a credit is called."""

    data: list[GiftCardOffer]
    unit: dict[str, str]
    """What a credit is called, `singular` and `plural`."""


class Recipient(Request):
    """For whom a gift card is."""

    email: Email
    """Where its code goes."""
    name: Name


class GiftCardOrder(Request):
    """A gift card for somebody. It is paid for as any purchase is."""

    product: Slug
    """A gift card's id in the catalogue."""
    recipient: Recipient
    message: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")] | None = None
    """What the mail says beside the code."""
    deliver_at: AwareDatetime | None = None
    """When the mail goes out, at most a year from now; once it is paid, if absent."""
    currency: Currency = "usd"
    """What to pay in."""
    method: Literal["payment_intent", "checkout"] = "payment_intent"
    """Elements in your own page, or Stripe's hosted page."""
    return_url: Url | None = None
    """Where the buyer returns to from the hosted page."""
    cancel_url: Url | None = None
    """Where he returns to without having paid."""

    @model_validator(mode="after")
    def _a_hosted_page_leads_back(self) -> Self:
        if self.method == "checkout" and self.return_url is None:
            raise ValueError("checkout needs a return_url to come back to")
        return self


class StartGiftCard(Request):
    """The gateway's request: the order, and who orders."""

    buyer: Buyer
    order: GiftCardOrder


class GiftCard(Answer):
    """A gift card that was paid for, as its buyer sees it."""

    id: GiftCardId
    purchase: PurchaseId
    """By which it was bought; refunding that makes the card void."""
    product: str
    state: GiftCardState
    """`scheduled` until its mail is due, `delivered` from then on."""
    credits: Credits
    price: Money
    recipient_email: str
    recipient_name: str
    message: str | None
    deliver_at: AwareDatetime
    """When its mail is or was due."""
    redeemed_at: AwareDatetime | None
