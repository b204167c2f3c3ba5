"""Estimates: what a charge would cost and whether it could be made, decided as the charge would be."""

from datetime import datetime

from libs.chassis.pool import Pool
from libs.contracts.events.credits_v1 import Enforcement
from libs.contracts.http.spending_v1 import ChargeOrder, Estimate, EstimateOrder
from services.credits.domain.errors import UnknownAccountError
from services.credits.domain.postings import Charge, Result
from services.credits.domain.pricing import Prices
from services.credits.operations import answers, charges
from services.credits.operations.costs import rules_of
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts


async def estimate(
    pool: Pool, ledger: Ledger, prices: Prices, order: EstimateOrder, *, at: datetime, caller: str
) -> Estimate:
    """Decide a charge and leave everything as it is. Raises UnknownAccountError, and why it cannot be rated."""
    posting = charges.posting(prices, ChargeOrder.model_construct(**dict(order)), caller, at)
    async with pool.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        (result,) = await ledger.foresee(conn, [posting])
        hold_first = ledger.rules.enforcement.adapts and await accounts.is_near_nothing(conn, order.account)
    if result.outcome == "unknown_account":
        raise UnknownAccountError
    rules = rules_of(prices, order, posting.used_before)
    return _shown(posting, result, rules, "holds" if hold_first else "events")


def _shown(posting: Charge, result: Result, rules: list[str], enforcement: Enforcement) -> Estimate:
    accepted = result.outcome == "accepted"
    refused = None if accepted else answers.why(result)
    return Estimate(
        credits=posting.amount,
        rules=rules,
        price_version=posting.cause.price_version,
        affordable=accepted,
        available=max(result.available + (posting.amount if accepted else 0), 0),
        enforcement=enforcement,
        code=refused.code.code if refused else None,
        detail=refused.detail if refused else None,
    )
