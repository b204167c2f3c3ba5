"""Reports: finance's view of the books, by day or month (UTC) and currency. Two currencies are never added."""

from datetime import date
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, model_validator

from ..credits import Credits
from ..ids import AccountId, PurchaseId
from ..money import Currency
from .base import Answer, Cursor, Request

LONGEST_REPORT_DAYS = 400
MOST_ROWS = 10_000
"""More a report does not have: then less has to be asked for."""

Period = Literal["day", "month"]
ProductKind = Literal["pack", "custom_amount", "gift_card"]
MovementKind = Literal["charge", "refund", "refund_failure", "dispute", "dispute_reversal"]
"""A payment, a refund, one that came back, what a bank took, and what it gave back."""


class ReportDays(Request):
    """Which days."""

    since: date
    """The first day (UTC)."""
    until: date
    """The last day, included."""

    @model_validator(mode="after")
    def _are_days(self) -> Self:
        if not 0 <= (self.until - self.since).days < LONGEST_REPORT_DAYS:
            raise ValueError(f"`until` lies on or after `since`, and at most {LONGEST_REPORT_DAYS - 1} days later")
        return self


class ReportQuery(ReportDays):
    """What a report is about."""

    by: Period = "day"
    """What a row is of; of a month that is not asked for as a whole, it is of those days."""


class MovementQuery(ReportDays):
    """Which movements of money."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


class Row(Answer):
    """A period's figures in a currency, in its minor units."""

    period: str | None
    """The day (`2026-11-22`) or the month (`2026-11`); null in a total."""
    currency: Currency


class MoneyRow(Row):
    """What was paid, and what went back of whatever was paid before: on the days on which it moved at Stripe."""

    gross_minor: int
    """What was paid."""
    discount_minor: int
    """What promo codes took off the prices of that: without them it had been so much more."""
    refunded_minor: int
    refund_failed_minor: int
    """What came back of refunds that did not arrive."""
    withdrawn_minor: int
    """What banks took back by disputes."""
    reinstated_minor: int
    """What they gave back of that, as a dispute was won."""
    kept_minor: int
    """What stays of all this: revenue before Stripe's fees."""


class RevenueRow(MoneyRow):
    """Revenue of one currency, and what Stripe pays out for it."""

    settled_in: Currency
    """In which Stripe pays out; the next three are in its minor units."""
    settled_minor: int
    """What was kept, as Stripe exchanged it: payment by payment, refund by refund, at the rate of each."""
    fees_minor: int
    """What Stripe took for itself, for disputes too."""
    net_minor: int
    """What is left of what was settled."""
    payments: int
    paying_accounts: int
    """How many accounts paid; one that pays in two periods is one in the total."""
    average_minor: int | None
    """What was paid on average of all payments, half a minor unit rounded up; null if there was none."""
    arpu_minor: int | None
    """What was kept for each account that paid (average revenue per paying account), rounded likewise."""


class TriesRow(Row):
    """How often paying went well."""

    succeeded: int
    """How many payments were made."""
    failed: int
    """How many tries to pay failed; who tries again and pays counts once in each."""
    success_permille: int | None
    """How many of a thousand tries went well, rounded down; null if nobody tried. All others failed."""


class SoldRow(Row):
    """How often something was sold."""

    kind: ProductKind | None
    """Null in a total."""
    product: str | None
    """The pack's or gift card's id; null for custom amounts."""
    sold: int
    credits: Credits
    """What that brings, a pack's own bonus included."""
    bonus_credits: Credits
    """What promo codes bring besides."""
    refunds: int
    """How many refunds there were, those that came back left out."""


class SalesRow(MoneyRow, SoldRow):
    """What a pack, a gift card, or custom amounts sold, and what went back of what they ever did."""


class RedeemedRow(Row):
    """How often a promo code was redeemed."""

    code: str | None
    """Null in a total."""
    redemptions: int
    """By how many payments."""
    bonus_credits: Credits
    """What it brought besides."""


class PromoCodeRow(MoneyRow, RedeemedRow):
    """What was paid with a promo code, and what went back of whatever was ever paid with it."""


class DeferredRow(Row):
    """What was paid for credits that are not used yet, and what became of it; by the cost of each lot.

    Opening + sold - recognised - returned - breakage - transferred = closing. Credits that nobody paid for are nothing.
    """

    opening_minor: int
    sold_minor: int
    """What was paid for credits that were granted. A gift card's are once it is redeemed."""
    recognised_minor: int
    """What was paid for those that were burnt, less for those that came back or were taken back afterwards."""
    returned_minor: int
    """What was paid for those that refunds and disputes took back, less for those that came back."""
    breakage_minor: int
    """What was paid for those that expired."""
    transferred_minor: int
    """What was paid for those that went to other accounts, where they are of no cost."""
    closing_minor: int


class GiftCardRow(Row):
    """What was paid for gift cards that nobody has redeemed yet: owed too, and in the ledger only once one is redeemed.

    Opening + sold - redeemed - voided = closing.
    """

    opening_minor: int
    sold_minor: int
    redeemed_minor: int
    """What was paid for those that brought somebody their credits, which are deferred from then on."""
    voided_minor: int
    """What was paid for those that nobody can redeem any more, as their price went back."""
    closing_minor: int


R = TypeVar("R", bound=Row)


class Report(Answer, Generic[R]):
    """Rows, and what they come to."""

    since: date
    until: date
    by: Period
    data: list[R]
    """In the order of their periods, then of what else tells them apart."""
    totals: list[R]
    """The sums of the rows; a row's currency, and what it is settled in, tell them apart."""
    as_of: AwareDatetime | None
    """Up to when the books are followed, seconds (of credits) or hours (of money, as Stripe shows it late) ago; null if
    they never were.
    """


class MovementRow(Answer):
    """Money that moved at Stripe: what the figures of revenue, sales and promo codes are the sums of."""

    id: str
    """Of Stripe's balance transaction."""
    kind: MovementKind
    moved_at: AwareDatetime
    source: str
    """Stripe's id of the charge, refund or dispute."""
    payment_intent: str
    purchase: PurchaseId
    account: AccountId
    product_kind: ProductKind
    product: str | None
    """The pack's or gift card's id; null for a custom amount."""
    promo_code: str | None
    currency: Currency
    amount_minor: int
    """Above zero what came in, below what went out."""
    discount_minor: int
    """Of a payment, what its promo code took off."""
    settled_in: Currency
    settled_minor: int
    """The amount as Stripe exchanged it."""
    fees_minor: int
    net_minor: int
