"""Ending purchases without a payment, whichever way they end."""

from typing import Literal
from uuid import UUID

from libs.chassis.pool import Connection
from services.payments.store import promo_codes, purchases


async def end(
    conn: Connection,
    purchase: UUID,
    state: Literal["canceled", "failed"],
    *,
    failure: str | None = None,
    cancellation: str | None = None,
) -> None:
    """Move a purchase that will not be paid to its end, and free the promo code that it kept; not if it is paid."""
    if await purchases.move(conn, purchase, state, failure=failure, cancellation=cancellation):
        await promo_codes.free(conn, purchase)
