"""Margins: what an account's credits earned, and what serving it cost, by the sums that follow the sealed blocks."""

from uuid import UUID

from libs.chassis.pool import Pool
from libs.contracts.http.insight_v1 import CurrencyMargin, Margin, MeterCost, UsageSpan
from services.credits.domain.margins import Worth, worth
from services.credits.store import margins as store
from services.credits.store import usage_days


async def margin(pool: Pool, account: UUID, query: UsageSpan) -> Margin:
    """Say what some days earned and cost, currency by currency."""
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        lots = await store.paid_lots(conn, account, query.from_, query.to)
        costs = await store.costs(conn, account, query.from_, query.to)
        as_of = await usage_days.summed_until(conn)
    earned: dict[str, Worth] = {}
    for lot in lots:
        earned[lot.currency] = earned.get(lot.currency, Worth()).plus(worth(lot))
    spent: dict[str, list[MeterCost]] = {}
    for currency, meter, micros in costs:
        spent.setdefault(currency, []).append(MeterCost(meter=meter, cost_micros=micros))
    currencies = sorted(earned.keys() | spent.keys())
    data = [_margin(currency, earned.get(currency, Worth()), spent.get(currency, [])) for currency in currencies]
    return Margin(account=account, data=data, as_of=as_of)


def _margin(currency: str, earned: Worth, spent: list[MeterCost]) -> CurrencyMargin:
    cost = sum(each.cost_micros for each in spent)
    return CurrencyMargin(
        currency=currency,
        revenue_micros=earned.burnt,
        cost_micros=cost,
        margin_micros=earned.burnt - cost,
        breakage_micros=earned.expired,
        transferred_micros=earned.transferred,
        cost_by_meter=spent,
    )
