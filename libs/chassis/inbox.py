"""The inbox: exactly-once is an insert that shares the transaction with the effect.

A unique business key on the effect itself is better where there is one; this is for effects that have none, of which
there is no service yet.
"""

from datetime import datetime, timedelta

from libs.chassis.pool import Connection


async def first_time(conn: Connection, *, consumer: str, message_id: str, at: datetime) -> bool:
    """Note that the consumer has seen the message; False if it had before. A concurrent twin waits for our commit."""
    return (
        await conn.fetchval(
            """INSERT INTO inbox (consumer, message_id, received_at) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING RETURNING true""",
            consumer,
            message_id,
            at,
        )
        is True
    )


async def prune(conn: Connection, *, now: datetime, keep: timedelta = timedelta(days=35)) -> int:
    """Forget what is older than anything that may still be told again; returns how many rows that was."""
    tag = await conn.execute("DELETE FROM inbox WHERE received_at < $1", now - keep)
    return int(tag.split()[-1])
