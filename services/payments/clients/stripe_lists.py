"""Stripe's lists that we go through: what its balance shows of the money that moved."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from services.payments.clients.stripe import Stripe
from services.payments.clients.stripe_calls import call
from services.payments.domain.movements import BalanceTransaction

if TYPE_CHECKING:
    from stripe.params import BalanceTransactionListParams

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of the balance, newest first; `more` if older entries follow."""

    data: list[BalanceTransaction]
    more: bool


async def balance_transactions(stripe: Stripe, *, since: datetime, until: datetime, after: str | None) -> Entries:
    """Read what moved the balance in that time, with the charges, refunds and disputes that did, after this entry."""
    params: BalanceTransactionListParams = {
        "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
        "expand": ["data.source"],
        "limit": _PAGE,
    }
    if after is not None:
        params["starting_after"] = after
    async with call("balance_transactions.list", changes=False):
        found = await stripe.api.balance_transactions.list_async(params)
    return Entries([BalanceTransaction.model_validate(one.to_dict()) for one in found.data], more=found.has_more)
