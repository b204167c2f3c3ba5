"""Sealing all there is and summing it, as the workers' jobs do."""

import asyncio

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from services.credits.operations import insight
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.sealing import Sealer
from tests.support.ledger import Credits


async def sum_up(credits: Credits, sealer: Sealer | None = None) -> None:
    """Seal all there is, and sum it."""
    await credits.timeline()
    sealer = sealer or Sealer(credits.pool, credits.clock, None)
    await sum_journal(credits.pool, credits.clock, credits.prices, sealer)


async def sum_journal(pool: Pool, clock: Clock, prices: ActivePrices, sealer: Sealer) -> None:
    """Seal a journal, and sum it."""
    async with asyncio.timeout(30):
        while True:
            await sealer.seal()
            await insight.sum_up(pool, clock, prices)
            async with pool.connection() as conn:
                behind = "SELECT (SELECT max(id) FROM batch) > (SELECT last_batch FROM usage_summed)"
                if not await conn.fetchval(behind):
                    return
