"""What the payments service takes and answers."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from ..credits import Credits, RequestedCredits
from ..ids import AccountId, PurchaseId, RefundId, UserId
from ..money import Currency, Money
from ..price_book import Slug
from .base import Answer, Request

PurchaseState = Literal[
    "created",
    "processing",
    "requires_action",
    "succeeded",
    "failed",
    "canceled",
    "unknown",
    "partially_refunded",
    "refunded",
    "disputed",
]
Url = Annotated[str, Field(max_length=2000, pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*:[^\s]*$")]


class PurchaseOrder(Request):
    """What a customer wants to buy: a pack, or a number of credits, or as many as some money buys. Exactly one."""

    pack: Slug | None = None
    """A pack's id."""
    amount_credits: RequestedCredits | None = None
    """So many credits; as many as a pack has buy that pack."""
    amount_money: Money | None = None
    """As many credits as this buys."""
    currency: Currency = "usd"
    """What to pay in; `amount_money` brings its own."""
    method: Literal["payment_intent", "checkout"] = "payment_intent"
    """Elements in your own page, or Stripe's hosted page."""
    return_url: Url | None = None
    """Where the buyer returns to from the hosted page."""
    cancel_url: Url | None = None
    """Where he returns to without having paid."""
    quote_only: bool = False
    """Only tell the price; nothing is recorded."""

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if sum(choice is not None for choice in (self.pack, self.amount_credits, self.amount_money)) != 1:
            raise ValueError("name exactly one of pack, amount_credits and amount_money")
        if self.amount_money is not None and self.amount_money.amount_minor <= 0:
            raise ValueError("amount_money must be more than nothing")
        if self.method == "checkout" and not self.quote_only and self.return_url is None:
            raise ValueError("checkout needs a return_url to come back to")
        return self


class Buyer(Request):
    """Who buys."""

    account: AccountId
    user: UserId
    email: Annotated[str, Field(max_length=254)]
    name: Annotated[str, Field(max_length=200)]


class StartPurchase(Request):
    """The gateway's request: the order, and who orders."""

    buyer: Buyer
    order: PurchaseOrder


class Quote(Answer):
    """What an order costs and brings."""

    pack: str | None
    """The pack, if it is one."""
    description: str
    """In words for the customer."""
    price: Money
    credits: Credits
    """Without the bonus."""
    bonus: Credits
    """What comes on top."""
    bonus_kind: str
    """The kind of the bonus credits."""


class Purchase(Answer):
    """A purchase and where it stands."""

    id: PurchaseId | None
    """Null for a quote."""
    account: AccountId
    state: PurchaseState | Literal["quoted"]
    """Where it stands."""
    method: str
    quote: Quote
    refunded: Money
    """How much money has gone back."""
    client_secret: str | None = None
    """For Stripe's Elements, while it can be paid."""
    checkout_url: str | None = None
    """Stripe's hosted page, while it can be paid."""
    failure: str | None = None
    """Why the last try to pay failed."""
    created_at: AwareDatetime | None = None


class RefundOrder(Request):
    """How much money to give back; all that is left of the payment if no amount is named."""

    amount: Money | None = None
    """How much money; null for all that is left."""
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] = "requested_by_customer"
    """What Stripe is told."""


class Refund(Answer):
    """A refund and where it stands."""

    id: RefundId
    purchase: PurchaseId
    amount: Money
    """How much money."""
    state: Literal["created", "pending", "succeeded", "failed", "unknown"]
    """Where it stands."""


class PackOffer(Answer):
    """A pack as it is offered."""

    id: str
    name: str
    credits: Credits
    """Without the bonus."""
    bonus: Credits
    """What comes on top."""
    prices: list[Money]
    """One per currency."""


class Packs(Answer):
    """All packs on offer, and what a credit is called."""

    data: list[PackOffer]
    unit: dict[str, str]
    """What a credit is called, `singular` and `plural`."""


class PaymentConfig(Answer):
    """What a frontend needs to load Stripe's Elements."""

    publishable_key: str
    """Stripe's, for this deployment."""
    currencies: list[str]
    """In which something is sold."""
