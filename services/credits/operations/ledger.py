"""The ledger's one write path: a batch of postings, applied in one transaction by a few set-based statements."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.pool import Connection
from libs.chassis.telemetry import LEDGER_POSTINGS
from services.credits import store
from services.credits.domain import Grant, Posting, Result, Spend, TakeBack, first_of_each, rounds


class Ledger:
    """Applies postings by a deployment's burn order."""

    def __init__(self, clock: Clock, *, fifo: bool) -> None:
        self._clock = clock
        self._fifo = fifo

    async def apply(self, conn: Connection, postings: Sequence[Posting]) -> tuple[datetime, list[Result]]:
        """Apply a batch in the caller's transaction; answers the batch's instant and, in the order given, each result.

        Locks the accounts in id order before anything is read; posts what has expired first; then accepts or rejects
        each posting against what is available at that point. A posting that repeats another of the batch is decided
        after it, as any later repetition would be.
        """
        if not postings:
            return self._clock.now(), []
        accounts = sorted({posting.account for posting in postings})
        await store.open_accounts(
            conn, sorted({p.account for p in postings if isinstance(p, Grant)}), self._clock.now()
        )
        latest = await store.lock_accounts(conn, accounts)
        at = max(self._clock.now(), latest) if latest else self._clock.now()
        changed = set(await store.expire(conn, accounts, at))
        decided = await self._apply_rounds(conn, postings, at)
        results = [decided[posting.id] for posting in postings]
        changed.update(result.posting.account for result in results if result.outcome == "accepted")
        if changed:
            await store.note_changes(conn, sorted(changed))
        return at, results

    async def _apply_rounds(self, conn: Connection, postings: Sequence[Posting], at: datetime) -> dict[UUID, Result]:
        decided: dict[UUID, Result] = {}
        left = list(postings)
        while left:  # repetitions of one key are decided one after the other
            first, left = first_of_each(left)
            for members in rounds(first):
                for result in await self._apply_round(conn, members, at):
                    decided[result.posting.id] = result
                    LEDGER_POSTINGS.labels(type(result.posting).__name__, result.outcome).inc()
        return decided

    async def _apply_round(self, conn: Connection, postings: Sequence[Posting], at: datetime) -> list[Result]:
        if isinstance(postings[0], Spend):
            return await store.spend(conn, postings, at, fifo=self._fifo)
        if isinstance(postings[0], Grant):
            return await store.grant(conn, [p for p in postings if isinstance(p, Grant)], at)
        return await store.take_back(conn, [p for p in postings if isinstance(p, TakeBack)], at)
