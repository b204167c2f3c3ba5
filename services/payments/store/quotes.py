"""What a purchase was quoted: in its own row, and in those of its loyalty tier and its promo code."""

from libs.chassis.pool import Record
from libs.contracts.events.payments_v1 import DiscountTaken
from libs.contracts.http.payments_v1 import Quote, QuotedBonus, QuotedTier
from libs.contracts.money import Money
from services.payments.domain.discounts import taken_by


def columns(quote: Quote) -> tuple[str | int | None, ...]:
    """Write what of a quote stands in the purchase's own row, from `pack` to `bonus_expires_after_days`."""
    return (
        quote.pack,
        quote.description,
        quote.price.amount_minor,
        quote.price.currency,
        taken_by(quote, "volume"),
        quote.credits,
        quote.expires_after_days,
        quote.bonus,
        quote.bonus_kind,
        quote.bonus_expires_after_days,
    )


def read(row: Record) -> Quote:
    """Read a quote from a purchase's row."""
    discounts = _discounts(row)
    price = _money(row, "amount_minor")
    discount = Money(amount_minor=sum(taken.amount.amount_minor for taken in discounts), currency=price.currency)
    return Quote(
        pack=row["pack"],
        description=row["description"],
        list_price=price + discount,
        discounts=discounts,
        discount=discount,
        price=price,
        credits=row["credits"],
        expires_after_days=row["expires_after_days"],
        bonus=row["bonus"],
        bonus_kind=row["bonus_kind"],
        bonus_expires_after_days=row["bonus_expires_after_days"],
        tier=_tier(row),
        promo_code=row["promo_code"],
        promo_bonus=_bonus(row, "promo"),
    )


def _discounts(row: Record) -> list[DiscountTaken]:
    taken = [
        DiscountTaken(by="volume", amount=_money(row, "volume_minor")),
        DiscountTaken(by="tier", name=row["tier_name"], amount=_money(row, "tier_minor")),
        DiscountTaken(by="promo_code", name=row["promo_code"], amount=_money(row, "promo_minor")),
    ]
    return [discount for discount in taken if discount.amount.amount_minor]


def _tier(row: Record) -> QuotedTier | None:
    if row["tier"] is None:
        return None
    return QuotedTier(id=row["tier"], name=row["tier_name"], bonus=_bonus(row, "tier"))


def _bonus(row: Record, of: str) -> QuotedBonus | None:
    if not row[f"{of}_bonus"]:
        return None
    kind, days = row[f"{of}_bonus_kind"], row[f"{of}_bonus_days"]
    return QuotedBonus(credits=row[f"{of}_bonus"], kind=kind, expires_after_days=days)


def _money(row: Record, column: str) -> Money:
    return Money(amount_minor=row[column], currency=row["currency"])
