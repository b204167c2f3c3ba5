"""A ledger with a clock that is set by hand, and few credits: where its rules are tried one by one."""

from datetime import timedelta
from uuid import UUID

from libs.contracts import ids
from libs.contracts.events.payments_v1 import LotKind
from tests.support.ledger import Credits
from tests.support.oracle.scripts import StoppedClock
from tests.support.postings import granting


class Desk(Credits):
    """The ledger by a clock that is set by hand; every account has what a test gives it, and no more."""

    def travel(self, time: timedelta) -> None:
        """Set the clock forward, or back."""
        assert isinstance(self.clock, StoppedClock)
        self.clock.instant += time

    async def account(self, amount: int = 0) -> UUID:
        """Open an account that has bought this much."""
        account = ids.new_id()
        if amount:
            await self.apply(granting(account, amount))
        else:
            await self.open(account)
        return account

    async def set(self, account: UUID, column: str, value: object) -> None:
        """Change what no posting changes: an account's state, its overdraft's limit."""
        async with self.pool.connection() as conn:
            await conn.execute(f"UPDATE account SET {column} = $2 WHERE id = $1", account, value)

    async def settle(self, *accounts: UUID) -> None:
        """Post what is due, as the job does."""
        async with self.pool.transaction() as conn:
            await self.ledger.apply(conn, [], due=accounts)

    async def has(self, account: UUID) -> tuple[int, int, int, int]:
        """Tell what is available, held, overdrawn and owed, without posting what is due."""
        async with self.pool.connection() as conn:
            row = await conn.fetchrow("SELECT available, held, debt FROM account WHERE id = $1", account)
        assert row is not None
        return max(row["available"], 0), row["held"], max(-row["available"], 0), row["debt"]

    async def kinds(self, account: UUID) -> dict[LotKind, int]:
        """Tell what is available by kind; what is due is posted first."""
        return (await self.balance(account)).by_kind

    async def moves(self, account: UUID) -> list[tuple[str, str, int]]:
        """Tell the legs of the account's last posting."""
        async with self.pool.connection() as conn:
            rows = await conn.fetch(
                """SELECT from_bucket, to_bucket, amount FROM entry JOIN account AS a ON a.id = account_id
                    WHERE account_id = $1 AND entry.sequence = a.sequence ORDER BY leg""",
                account,
            )
        return [(row[0], row[1], row[2]) for row in rows]
