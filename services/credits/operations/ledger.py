"""The ledger's one write path: a batch of postings, applied in one transaction.

Lock the accounts in id order; read what the batch may touch, set by set; decide each posting in arrival order, in
memory; write it all back, set by set. While the locks are held nobody else changes what was read.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection
from libs.chassis.telemetry import LEDGER_POSTINGS
from services.credits.domain import decisions
from services.credits.domain.accounts import Account
from services.credits.domain.books import Books, Rules
from services.credits.domain.enforcement import notice_enforcement
from services.credits.domain.limits import notice_low
from services.credits.domain.postings import Posting, Result
from services.credits.operations.reading import Asked, read
from services.credits.store import books as store


class Ledger:
    """Applies postings by the rules of a deployment."""

    def __init__(self, clock: Clock, rules: Rules) -> None:
        self._clock = clock
        self.rules = rules

    async def apply(
        self, conn: Connection, postings: Sequence[Posting], *, due: Collection[UUID] = ()
    ) -> tuple[datetime, list[Result]]:
        """Apply a batch in the caller's transaction; answers the batch's instant and, in the order given, each result.

        What is due in its accounts, and in those named beside it, is posted first. No account goes back in time. What
        the batch itself has to tell (lots and holds that expired, balances that are low, stops) is told with it.
        """
        if not postings and not due:
            return self._clock.now(), []
        asked = Asked(postings)
        accounts, latest = await self._lock(conn, asked, sorted(asked.accounts.union(due)))
        books = await self._open(conn, asked, accounts, latest)
        results = decisions.settle_what_is_due(books)
        _count(results)
        results = [decisions.decide(books, posting) for posting in postings]
        _count(results)
        notice_low(accounts.values(), at=books.at, told=books.told)
        notice_enforcement(self.rules.enforcement, accounts.values(), at=books.at, told=books.told)
        await store.write(conn, books)
        if books.told:
            await outbox.append(conn, *books.told, at=books.at)
        return books.at, results

    async def foresee(self, conn: Connection, postings: Sequence[Posting]) -> list[Result]:
        """Decide a batch as `apply` would, in a transaction that only reads and sees one state; nothing happens."""
        asked = Asked(postings)
        accounts, latest = await store.read_accounts(conn, sorted(asked.accounts), self.rules)
        books = await self._open(conn, asked, accounts, latest)
        decisions.settle_what_is_due(books)
        return [decisions.decide(books, posting) for posting in postings]

    async def _open(
        self, conn: Connection, asked: Asked, accounts: dict[UUID, Account], latest: datetime | None
    ) -> Books:
        """Read what the postings may touch, as it is at an instant that is never before an account's last."""
        now = self._clock.now()
        books = Books(accounts, at=max(now, latest) if latest else now, rules=self.rules)
        await read(conn, books, asked)
        return books

    async def _lock(
        self, conn: Connection, asked: Asked, ids: Sequence[UUID]
    ) -> tuple[dict[UUID, Account], datetime | None]:
        """Lock the accounts, in id order. One that is granted something is opened before, if it is not there.

        Before, since who waits for another to open an account may hold no lock that the other waits for.
        """
        if receiving := sorted(asked.receiving):
            await store.open_accounts(conn, receiving, self._clock.now())
        return await store.lock_accounts(conn, ids, self.rules)


def _count(results: Sequence[Result]) -> None:
    counted = Counter((type(result.posting).__name__, result.outcome) for result in results)
    for labels, number in counted.items():
        LEDGER_POSTINGS.labels(*labels).inc(number)
