"""What an order costs, and what is kept of it: an amount that its caller names, or a usage that the book rates."""

from typing import NamedTuple

import orjson

from libs.contracts.http.credits_v1 import TransactionType
from libs.contracts.http.spending_v1 import Spending
from services.credits.domain.postings import Cause
from services.credits.domain.pricing import Prices


class Cost(NamedTuple):
    """So many micro-credits, and what for."""

    credits: int
    cause: Cause


def cost(prices: Prices, order: Spending, type: TransactionType) -> Cost:
    """Find out what an order costs. Raises UnknownMeterError, UnratableUsageError."""
    credits, version = order.amount or 0, None
    if order.meter is not None:
        quantity = 1 if order.quantity is None else order.quantity
        credits, version = prices.rate(order.meter, quantity, order.properties).credits, prices.version
    reference = order.reference
    return Cost(
        credits,
        Cause(
            type,
            reference.type if reference else None,
            reference.id if reference else None,
            order.description,
            _details(order),
            version,
        ),
    )


def _details(order: Spending) -> str | None:
    """Write what is to be found again."""
    kept: dict[str, object] = {}
    if order.meter is not None:
        kept["meter"] = order.meter
        kept["quantity"] = "1" if order.quantity is None else format(order.quantity, "f")
    if order.properties:
        kept["properties"] = order.properties
    if order.metadata:
        kept["metadata"] = order.metadata
    return orjson.dumps(kept).decode() if kept else None
