"""One process at a time, without a transaction that would stay open all the while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.chassis.pool import Connection


@asynccontextmanager
async def leading(conn: Connection, lock: int) -> AsyncIterator[bool]:
    """Be the only one who has this lock, by this connection, while the block lasts; gives False if another has it."""
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        yield False
        return
    try:
        yield True
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", lock)
