"""What the payments service takes and answers."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from ..credits import Credits, RequestedCredits
from ..events.payments_v1 import DiscountTaken, LotKind, PaidByCard
from ..ids import AccountId, GiftCardId, PaymentMethodId, PurchaseId, RefundId, UserId
from ..money import Currency, Money
from ..price_book import Slug
from ..promo_codes import PromoCodeName
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


class Wanted(Request):
    """What a customer wants: a pack, or a number of credits, or as many as some money buys. Exactly one."""

    pack: Slug | None = None
    """A pack's id."""
    amount_credits: RequestedCredits | None = None
    """So many credits; as many as a pack has buy that pack."""
    amount_money: Money | None = None
    """As many credits as this buys."""
    currency: Currency = "usd"
    """What to pay in; `amount_money` brings its own."""

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if sum(choice is not None for choice in (self.pack, self.amount_credits, self.amount_money)) != 1:
            raise ValueError("name exactly one of pack, amount_credits and amount_money")
        if self.amount_money is not None and self.amount_money.amount_minor <= 0:
            raise ValueError("amount_money must be more than nothing")
        return self


class PurchaseOrder(Wanted):
    """What a customer wants to buy, and how."""

    promo_code: PromoCodeName | None = None
    """A promo code, in upper or lower case."""
    method: Literal["payment_intent", "checkout"] = "payment_intent"
    """Elements in your own page, or Stripe's hosted page."""
    return_url: Url | None = None
    """Where the buyer returns to from the hosted page."""
    cancel_url: Url | None = None
    """Where he returns to without having paid."""
    payment_method: Literal["default"] | PaymentMethodId | None = None
    """A saved card to pay with at once, or `default`; the buyer has to be there, since his bank may ask."""
    save_card: bool = False
    """Save the card that is paid with."""
    quote_only: bool = False
    """Only tell the price; nothing is recorded."""

    @model_validator(mode="after")
    def _is_paid_by_one_card(self) -> Self:
        if self.payment_method is not None and (self.method != "payment_intent" or self.save_card):
            raise ValueError("a saved card pays without a page, and is not saved again")
        return self

    @model_validator(mode="after")
    def _says_where_to_return(self) -> Self:
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


class QuotedBonus(Answer):
    """Credits that a promo code or a loyalty tier brings."""

    credits: Credits
    kind: LotKind
    """Of which kind they are."""
    expires_after_days: int | None = None
    """How many days after the payment they expire; never, if it is absent."""


class QuotedTier(Answer):
    """The account's loyalty tier, as it was when the purchase was quoted."""

    id: str
    name: str
    """What people see of it."""
    bonus: QuotedBonus | None = None
    """What it brings besides, if it brings credits; what it takes off is among the discounts."""


class Quote(Answer):
    """What an order costs and brings."""

    pack: str | None
    """The pack, if it is one."""
    description: str
    """In words for the customer."""
    list_price: Money
    """What it costs before any discount."""
    discounts: list[DiscountTaken] = []
    """What takes money off, in the order in which it does: volume, loyalty tier, promo code."""
    discount: Money
    """What they take off the list price in all."""
    price: Money
    """What is paid."""
    credits: Credits
    """Without any bonus."""
    expires_after_days: int | None = None
    """How many days after the payment they expire; never, if it is absent."""
    bonus: Credits
    """What comes on top, by the pack or the volume."""
    bonus_kind: str
    """The kind of the bonus credits."""
    bonus_expires_after_days: int | None = None
    """When they expire, if otherwise than what is bought."""
    tier: QuotedTier | None = None
    """The account's loyalty tier, if it has one."""
    promo_code: str | None = None
    """The promo code, if there is one."""
    promo_bonus: QuotedBonus | None = None
    """What the promo code brings besides, if it brings credits."""


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
    cancellation: str | None = None
    """Why it was canceled, as far as Stripe says so: `abandoned` if nobody has paid it in time."""
    gift_card: GiftCardId | None = None
    """The gift card that it buys, if it is one."""
    payment: str | None = None
    """Stripe's id of the payment, once there is one."""
    card: PaidByCard | None = None
    """The card that paid, if it was one that we know of."""
    created_at: AwareDatetime | None = None
    paid_at: AwareDatetime | None = None


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


class RefundPreview(Answer):
    """What a refund would do as things are; nothing happens."""

    purchase: PurchaseId
    amount: Money
    """How much money would go back."""
    credits: Credits
    """How many credits would go back with it."""
    spent: Credits
    """How many of them are spent or held."""
    debt: Credits
    """How many of them would become a debt."""
    possible: bool
    """Whether it would be made, by the catalogue's policy for what is spent."""


class TierOffer(Answer):
    """A loyalty tier, and what it brings to each purchase."""

    id: str
    name: str
    from_spend: list[Money]
    """The lifetime spend from which on it holds; one of them is enough."""
    percent_off: int | None
    bonus_percent: int | None


class NextTier(Answer):
    """The tier above."""

    tier: TierOffer
    left: list[Money]
    """What is to be spent until then; one of them is enough."""


class LoyaltyStanding(Answer):
    """Where an account stands with its lifetime spend."""

    spend: list[Money]
    """What it paid less what went back, in each currency."""
    tier: TierOffer | None
    """The tier that it has; its next purchase has what that brings."""
    next: NextTier | None
    """The one above; none above the last one, nor where there are no tiers."""


class PackOffer(Answer):
    """A pack as it is offered."""

    id: str
    name: str
    credits: Credits
    """Without the bonus."""
    bonus: Credits
    """What comes on top."""
    expires_after_days: int | None = None
    """How many days after the payment the credits expire; never, if it is absent."""
    prices: list[Money]
    """One per currency."""


class VolumeOffer(Answer):
    """What many credits of one's own choice bring, for all of them."""

    from_credits: Credits
    """From how many on."""
    percent_off: int | None
    bonus_percent: int | None


class CustomAmountOffer(Answer):
    """Credits of one's own choice, as they are offered."""

    per_credit: list[Money]
    """What one costs, in each currency."""
    minimum: Credits
    maximum: Credits
    volume: list[VolumeOffer]
    expires_after_days: int | None
    """How many days after the payment they expire; never, if it is null."""


class Packs(Answer):
    """All packs on offer, and what a credit is called."""

    data: list[PackOffer]
    custom_amount: CustomAmountOffer | None = None
    """What credits of one's own choice cost, if they are sold."""
    unit: dict[str, str]
    """What a credit is called, `singular` and `plural`."""


class PaymentConfig(Answer):
    """What a frontend needs to load Stripe's Elements."""

    publishable_key: str
    """Stripe's, for this deployment."""
    currencies: list[str]
    """In which something is sold."""
