"""Loyalty: which tier an account has by its lifetime spend. What is quoted with it stays with the purchase."""

from uuid import UUID

from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.payments_v1 import LoyaltyStanding
from services.payments.domain.discounts import standing
from services.payments.store import loyalty


async def show_standing(pool: Pool, catalogue: Catalogue, account: UUID, *, livemode: bool) -> LoyaltyStanding:
    """Tell which tier an account has and what is left to the next one."""
    async with pool.connection() as conn:
        spend = await loyalty.spend_of(conn, account, livemode=livemode)
    return standing(catalogue.loyalty, spend)
