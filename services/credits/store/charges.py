"""Charges, as they are shown."""

from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.accounts import BurntCharge
from services.credits.store.books import CHARGE


async def find(conn: Connection, account: UUID, charge: UUID) -> BurntCharge | None:
    """Find a charge of an account, without its legs."""
    row = await conn.fetchrow(
        f"SELECT {CHARGE} FROM charge WHERE id = $1 AND account_id = $2",  # noqa: S608 - a constant
        charge,
        account,
    )
    return None if row is None else BurntCharge(*row)
