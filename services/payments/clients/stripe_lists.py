"""Stripe's lists that we go through: what its balance shows of the money that moved, and its events."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.payments.clients.stripe import Stripe
from services.payments.clients.stripe_calls import call
from services.payments.domain.stripe_objects import StripeEvent

if TYPE_CHECKING:
    from stripe.params import BalanceTransactionListParams, EventListParams

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of the balance as it came, newest first; if older entries follow, `last` is where to go on."""

    data: list[dict[str, Any]]
    last: str | None
    reached: datetime | None


@dataclass(frozen=True, slots=True)
class Events:
    """A page of events, newest first; if older ones follow, `last` is where to go on."""

    data: list[StripeEvent]
    last: str | None
    reached: datetime | None


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
    data = [one.to_dict() for one in found.data]
    return Entries(data, *_place(data[-1] if found.has_more else None))


async def events(
    stripe: Stripe, *, types: Collection[str], since: datetime, until: datetime, after: str | None
) -> Events:
    """Read what happened in that time, of these types, before this event; Stripe knows of the last thirty days."""
    params: EventListParams = {
        "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
        "types": sorted(types),
        "limit": _PAGE,
    }
    if after is not None:
        params["starting_after"] = after
    async with call("events.list", changes=False):
        found = await stripe.api.events.list_async(params)
    data = [one.to_dict() for one in found.data]
    return Events([StripeEvent.of(one) for one in data], *_place(data[-1] if found.has_more else None))


def _place(last: Mapping[str, Any] | None) -> tuple[str | None, datetime | None]:
    return (None, None) if last is None else (str(last["id"]), datetime.fromtimestamp(last["created"], UTC))
