"""Lifetime spend, and the loyalty tiers that purchases were quoted with."""

from collections.abc import Mapping
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.http.payments_v1 import Quote
from services.payments.domain.discounts import taken_by


async def spend_of(conn: Connection, account: UUID, *, livemode: bool) -> Mapping[str, int]:
    """Sum up by currency what an account paid in a mode, less what refunds and banks have of it."""
    rows = await conn.fetch(
        """SELECT currency, sum(greatest(amount_minor - refunded_minor - withdrawn_minor, 0))::bigint AS minor
             FROM purchase WHERE account = $1 AND paid_at IS NOT NULL AND livemode = $2 GROUP BY currency""",
        account,
        livemode,
    )
    return {row["currency"]: row["minor"] for row in rows}


async def keep_tier(conn: Connection, purchase: UUID, quote: Quote) -> None:
    """Record the tier with which a purchase was quoted, if there was one."""
    if quote.tier is None:
        return
    bonus = quote.tier.bonus
    await conn.execute(
        """INSERT INTO purchase_tier (purchase, tier, name, discount_minor, bonus, bonus_kind, bonus_expires_after_days)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        purchase,
        quote.tier.id,
        quote.tier.name,
        taken_by(quote, "tier"),
        bonus.credits if bonus else 0,
        bonus.kind if bonus else None,
        bonus.expires_after_days if bonus else None,
    )
