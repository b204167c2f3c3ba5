"""Playing a script twice, on the ledger and on the oracle, and comparing after each step."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from libs.chassis.pool import Connection, Pool
from services.credits.domain.books import Rules
from services.credits.domain.postings import REFUSALS, Posting, Result, Usage
from services.credits.operations import limits
from services.credits.operations.ledger import Ledger
from services.credits.store import books, usage
from services.credits.store.limits import set_actor_limits
from tests.support.books import assert_books_balance
from tests.support.oracle.comparing import answered, expected, found, tallied
from tests.support.oracle.model import Oracle
from tests.support.oracle.paper import Account
from tests.support.oracle.scripts import ADA, Batch, Change, Resume, Scribe, Settle, Step, StoppedClock, Travel, Wish


class Play:
    """A ledger on an empty database and an oracle, to which the same happens."""

    def __init__(self, pool: Pool, rules: Rules) -> None:
        self._pool = pool
        self._clock = StoppedClock()
        self._tallies = rules.limits.any or rules.count_accounts
        self._ledger = Ledger(self._clock, rules)
        self._oracle = Oracle(
            fifo=rules.fifo,
            capture_above_hold=rules.capture_above_hold,
            limits=rules.limits,
            low_below=rules.low_below,
            enforcement=rules.enforcement,
        )
        self._scribe = Scribe(self._clock)
        self._instants = {self._clock.instant}

    async def run(self, script: Sequence[Step], *, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        """Play a script from its beginning, in which two accounts have something and a third is open.

        After each of its steps `meanwhile` happens.
        """
        *_, third, _ = self._scribe.accounts
        self._oracle.accounts[third] = Account()
        async with self._pool.transaction() as conn:
            await books.open_accounts(conn, [third], self._clock.now())
        await self._apply(self._scribe.batch([Wish("grant", account, 6, account, 3, False) for account in (0, 1)]))
        if self._tallies:
            await self._limit(self._scribe.accounts[0], ADA, day=5, month=8)
        for step in script:
            await self._step(step)
            if meanwhile is not None:
                await meanwhile()
        await assert_books_balance(self._pool)

    async def _step(self, step: Step) -> None:
        match step:
            case Batch(wishes):
                await self._apply(self._scribe.batch(wishes))
            case Travel(hours):
                self._travel(hours)
            case Change(account, state, overdraft_limit):
                await self._change(self._scribe.accounts[account], state, overdraft_limit)
            case Resume(account, actor):
                await self._resume(self._scribe.accounts[account], actor)
            case Settle():
                await self._apply([], due=self._scribe.accounts)

    def _travel(self, hours: int) -> None:
        """Set the clock; where spending is limited it only goes forward, and not by whole hours."""
        self._clock.instant += timedelta(hours=abs(hours), minutes=20) if self._tallies else timedelta(hours=hours)
        self._instants.add(self._clock.instant)

    async def _apply(self, postings: Sequence[Posting], due: Sequence[UUID] = ()) -> None:
        before = {id: account.sequence for id, account in self._oracle.accounts.items()}
        async with self._pool.transaction() as conn:
            at, results = await self._ledger.apply(conn, postings, due=due)
            await _keep_refusals(conn, results)
        assert at in self._instants
        assert at >= self._clock.now()
        answers = self._oracle.apply(postings, at=at, due=due)
        assert [answered(result) for result in results] == answers
        moved = {id for id, account in self._oracle.accounts.items() if account.sequence != before.get(id, 0)}
        await self._compare(moved)

    async def _compare(self, moved: set[UUID]) -> None:
        async with self._pool.connection() as conn:
            real = await found(conn, self._oracle)
            counted = await tallied(conn)
            told = await conn.fetch("DELETE FROM balance_change RETURNING account_ids")
        for name, rows in expected(self._oracle).items():
            assert real[name] == rows, name
        for who, hour, tally in counted:
            assert tally == self._oracle.tally(who, hour), (who, hour)
        assert {id for row in told for id in row["account_ids"]} >= moved

    async def _change(self, account: UUID, state: str, overdraft_limit: int) -> None:
        known = self._oracle.accounts[account]
        known.state, known.overdraft_limit, known.resumes_at = state, overdraft_limit, None
        async with self._pool.connection() as conn:
            await conn.execute(
                "UPDATE account SET state = $2, overdraft_limit = $3, resumes_at = NULL WHERE id = $1",
                *(account, state, overdraft_limit),
            )

    async def _limit(self, account: UUID, name: str, *, day: int, month: int) -> None:
        self._oracle.limit(account, name, day=day, month=month)
        async with self._pool.transaction() as conn:
            await set_actor_limits(conn, account, name, day_limit=day, month_limit=month)

    async def _resume(self, account: UUID, actor: str | None) -> None:
        self._oracle.resume(account, actor, by="staff:eve")
        await limits.resume(self._pool, self._clock, account, actor=actor, by="staff:eve")


async def _keep_refusals(conn: Connection, results: Sequence[Result]) -> None:
    """Keep refused usage, as the operation that burns usage does."""
    refused = [
        usage.RefusedUsage(
            *(posting.account, posting.key, posting.fingerprint, "/tests", "an event", "a meter", "{}"),
            *(REFUSALS[result.outcome][0].code, result.outcome, posting.amount, max(result.available, 0)),
        )
        for result in results
        if isinstance(posting := result.posting, Usage) and result.outcome in REFUSALS
    ]
    if refused:
        await usage.keep_refusals(conn, refused, at=StoppedClock().now())


async def empty(owner: Connection) -> None:
    """Empty the ledger's database, which its own role cannot."""
    await owner.execute(
        "TRUNCATE account, actor, lot, hold, charge, batch, entry, rejected_usage, balance_change, outbox"
    )
