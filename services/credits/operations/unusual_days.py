"""Unusual days: accounts are looked at while they burn; what is unusual is told once."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from libs.chassis import failpoints, outbox
from libs.chassis.clock import Clock
from libs.chassis.leading import leading
from libs.chassis.pool import Connection, Pool
from libs.contracts.events import UnusualActivity
from libs.contracts.http.insight_v1 import UnusualDay, UnusualDays
from services.credits.domain.unusual_days import HISTORY_DAYS, WORTH_A_LOOK, is_unusual, usual
from services.credits.store import accounts
from services.credits.store import unusual_days as store
from services.credits.store.unusual_days import Burnt, Found

_ACCOUNTS_A_PASS = 500
_SUMS_ARE_LATE = timedelta(minutes=10)
"""A day is looked at for so long after its end: sums follow the sealed blocks."""
_MOST_SHOWN = 100
_FIRST = UUID(int=0)


class Watch:
    """Goes through the accounts that burn today, some at a time, and begins anew. One worker at a time.

    What was used on a day that was over when it was summed is looked at once after that: it was told late.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._after = _FIRST

    async def look(self) -> int:
        """Look at the next accounts, and late days; returns how many that was, 0 after the last ones."""
        day = (self._clock.now() - _SUMS_ARE_LATE).date()
        async with self._pool.connection() as conn, leading(conn, store.LOCK) as leads:
            if not leads:
                return 0
            late = await self._look_back(conn)
            burnt = await store.burnt_on(conn, day, after=self._after, limit=_ACCOUNTS_A_PASS)
            if found := await _unusual(conn, day, burnt):
                async with conn.transaction():
                    await self._tell(conn, day, found)
        self._after = burnt[-1].account if len(burnt) == _ACCOUNTS_A_PASS else _FIRST
        return late + (len(burnt) if self._after != _FIRST else 0)

    async def _look_back(self, conn: Connection) -> int:
        """Look at days that were over when their sums changed; what is told of them commits with their being taken."""
        async with conn.transaction():
            taken = await store.take_late(conn, limit=_ACCOUNTS_A_PASS)
            for day, burnt in taken.items():
                if found := await _unusual(conn, day, burnt):
                    await self._tell(conn, day, found)
        return sum(len(burnt) for burnt in taken.values())

    async def _tell(self, conn: Connection, day: date, found: Sequence[Found]) -> None:
        at = self._clock.now()
        fresh = set(await store.note(conn, day, found, at=at))
        sequences = await accounts.sequences(conn, list(fresh))
        told = [
            UnusualActivity(
                account=each.account,
                sequence=sequences[each.account],
                occurred_at=at,
                day=day,
                burnt=each.burnt,
                usual=each.usual,
            )
            for each in found
            if each.account in fresh
        ]
        await outbox.append(conn, *told, at=at)
        failpoints.reach("credits.watch_activity.before_commit")


async def _unusual(conn: Connection, day: date, burnt: Sequence[Burnt]) -> list[Found]:
    """Find those for whom the day is unusual, and of whom that is not known yet."""
    suspects = [each for each in burnt if each.credits > WORTH_A_LOOK and not each.is_noted]
    if not suspects:
        return []
    days = [day - timedelta(days=ago) for ago in range(HISTORY_DAYS, 0, -1)]
    before = await store.burnt_before(conn, [each.account for each in suspects], days[0], day)
    found = []
    for account, credits, _ in suspects:
        level = usual([before.get((account, past), 0) for past in days])
        if level is not None and is_unusual(credits, level):
            found.append(Found(account, credits, level))
    return found


async def of_account(pool: Pool, account: UUID) -> UnusualDays:
    """Show an account's last unusual days."""
    async with pool.connection() as conn:
        found = await store.unusual_days(conn, account, limit=_MOST_SHOWN)
    return UnusualDays(data=[UnusualDay(**row) for row in found])
