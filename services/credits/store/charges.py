"""Charges, as they are shown."""

from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.accounts import BurntCharge


async def find(conn: Connection, account: UUID, charge: UUID) -> BurntCharge | None:
    """Find a charge of an account, without its legs."""
    row = await conn.fetchrow(
        """SELECT id, account_id, amount, refunded, reference_type, reference_id, description, details::text,
                  charged_at
             FROM charge WHERE id = $1 AND account_id = $2""",
        charge,
        account,
    )
    return None if row is None else BurntCharge(*row)
