"""Balances, live: first what credits says, then every change, and never an older state over a newer one."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.contracts.events import BalanceChanged
from libs.contracts.http.credits_v1 import Balance
from libs.contracts.http.gateway_v1 import LiveBalance
from services.gateway.clients.credits import CreditsClient
from services.gateway.clients.live_balances import Announcer, Watcher

_LOOK_SECONDS = 5.0
_RETRY_SECONDS = 1.0


async def announce(announcer: Announcer, changes: Iterable[BalanceChanged]) -> int:
    """Tell all streams of changed balances, of each account the newest. Raises UnavailableError: tell it again."""
    newest: dict[UUID, BalanceChanged] = {}
    for change in changes:
        known = newest.get(change.account)
        if known is None or change.sequence > known.sequence:
            newest[change.account] = change
    return await announcer.announce([live(change) for change in newest.values()])


async def follow(
    credits: CreditsClient, watcher: Watcher, first: Balance, *, after: int, until: datetime, clock: Clock
) -> AsyncIterator[LiveBalance]:
    """Give the balance, then each change, as long as it is newer than what went before it, and than `after`.

    Ends at an instant or with the process. Where changes may have been missed, credits is asked.
    """
    seen, changes = after, [live(first)]
    while not watcher.ended:
        for change in changes:
            if change.sequence > seen:
                seen = change.sequence
                yield change
        left = (until - clock.now()).total_seconds()
        if left <= 0:
            return
        changes = await watcher.changes(seconds=min(left, _LOOK_SECONDS))
        if watcher.missed:
            changes += await _asked(credits, watcher, first.account)


async def _asked(credits: CreditsClient, watcher: Watcher, account: UUID) -> list[LiveBalance]:
    watcher.missed = False
    try:
        return [live(await credits.balance(account))]
    except UnavailableError:
        watcher.miss()
        await asyncio.sleep(_RETRY_SECONDS)
        return []


def live(balance: Balance | BalanceChanged) -> LiveBalance:
    """Take from a balance, or from the event of its change, what streams tell."""
    return LiveBalance(
        account=balance.account,
        available=balance.available,
        held=balance.held,
        overdraft=balance.overdraft,
        debt=balance.debt,
        sequence=balance.sequence,
    )
