"""Auditing the books: how a test of the ledger ends."""

from pathlib import Path

from libs.chassis import invariants
from libs.chassis.pool import Pool

SERVICES = Path(__file__).parents[2] / "services"


async def breaches(pool: Pool, service: str) -> list[str]:
    """Say what is broken in a service's books, a line each."""
    async with pool.connection() as conn:
        return [
            f"{finding.invariant.sentence}: {dict(row)}"
            async for finding in invariants.check(conn, invariants.read(SERVICES / service))
            for row in finding.breaches
        ]


async def assert_books_balance(pool: Pool, service: str = "credits") -> None:
    """Check every invariant of a service's database."""
    found = await breaches(pool, service)
    assert found == [], "\n".join(found)
