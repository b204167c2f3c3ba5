"""What an order costs, and what is kept of it: an amount that its caller names, or a usage that the book rates."""

from datetime import datetime
from typing import NamedTuple

import orjson

from libs.contracts.http.credits_v1 import TransactionType
from libs.contracts.http.spending_v1 import Priced, Purpose, Spending
from services.credits.domain.postings import Cause, Metered
from services.credits.domain.pricing import Prices, Rating, period_of


class Cost(NamedTuple):
    """So many micro-credits, or so many at most where it is metered; and what for."""

    credits: int
    metered: Metered | None
    cause: Cause


def cost(prices: Prices, order: Spending, type: TransactionType, *, at: datetime, actor: str | None = None) -> Cost:
    """Find out what an order costs. Raises UnknownMeterError, UnratableUsageError."""
    credits, found, version = order.amount or 0, None, None
    if order.meter is not None:
        rating = prices.rate(order.meter, order.quantity_used, order.properties)
        credits, found, version = rating.credits, metered(rating, order.meter, at), prices.version
    return Cost(credits, found, cause_of(order, type, details=_details(order, actor), version=version))


def cause_of(order: Purpose, type: TransactionType, *, details: str | None, version: str | None) -> Cause:
    """Note what an order is for, and by which version of the price book it costs what it does."""
    reference = order.reference
    return Cause(
        type,
        reference.type if reference else None,
        reference.id if reference else None,
        order.description,
        details,
        version,
    )


def metered(rating: Rating, meter: str, at: datetime) -> Metered | None:
    """Tell by what is counted for a usage of that time, if its price depends on what was used before."""
    return Metered(meter, period_of(rating.tariff.meter, at), rating) if rating.counted else None


def rules_of(prices: Prices, order: Priced, used_before: int) -> list[str]:
    """Say in words which rules make the price of an order, after so much was used in the period."""
    if order.meter is None:
        return []
    return prices.rate(order.meter, order.quantity_used, order.properties).rules_after(used_before)


def _details(order: Spending, actor: str | None) -> str | None:
    """Write what is to be found again."""
    kept: dict[str, object] = {}
    if order.meter is not None:
        kept["meter"] = order.meter
        kept["quantity"] = format(order.quantity_used, "f")
    if order.properties:
        kept["properties"] = order.properties
    if actor is not None:
        kept["actor"] = actor
    if order.metadata:
        kept["metadata"] = order.metadata
    return orjson.dumps(kept).decode() if kept else None
