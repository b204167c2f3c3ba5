"""Backtests: what recorded usage would have cost by another price book. Nothing is changed, and nothing locked."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain import usage_events
from services.credits.domain.backtests import Backtest, Bill, Summary
from services.credits.domain.pricing import Prices
from services.credits.operations.usage import NEWEST, OLDEST
from services.credits.store import backtests as store
from services.credits.store.backtests import Window


@dataclass(frozen=True, slots=True)
class Asked:
    """Usage that was recorded from one instant until before another, of all accounts or of one."""

    since: datetime
    until: datetime | None = None
    account: UUID | None = None
    dearer_by: int = 20
    """From how many percent on an account pays much more."""


class Progress(NamedTuple):
    """Told how far a backtest is."""

    begin: Callable[[int], None] = lambda _: None
    """How many legs and refused usages there are to be read."""
    read: Callable[[int], None] = lambda _: None
    """So many more are read."""


SILENT = Progress()


async def backtest(
    conn: Connection, prices: Prices, asked: Asked, *, done: Callable[[Bill], None], progress: Progress = SILENT
) -> Summary:
    """Rate recorded usage by a draft, in one snapshot. `done` is given each account's bill once it is complete."""
    counted_from = _counted_from(asked.since) if prices.counting else asked.since
    window = Window(asked.since, asked.until, asked.account, counted_from, prices.counting)
    fold = Backtest(prices, asked.since, dearer_by=asked.dearer_by, done=done)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        progress.begin(await store.count(conn, window) + await store.count_refused(conn, window))
        async with aclosing(store.legs(conn, window)) as chunks:
            async for legs in chunks:
                fold.add(legs)
                progress.read(len(legs))
        async with aclosing(store.refused(conn, window)) as refusals:
            async for events in refusals:
                for code, event in events:
                    fold.add_refused(code, usage_events.read(event.encode()))
                progress.read(len(events))
    return fold.finish()


def _counted_from(since: datetime) -> datetime:
    """Tell from when on usage was recorded that counts in a period in which usage recorded since then may count.

    A usage may be told as late as its age allows, and counts in its own month; and a little ahead.
    """
    month = (since - OLDEST).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return month - NEWEST
