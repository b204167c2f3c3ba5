"""What a service's outbox tells."""

from typing import TypeVar

from libs.chassis.pool import Pool
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import Event

E = TypeVar("E", bound=Event)


async def told(pool: Pool) -> list[CloudEvent]:
    """Read everything it tells, in order."""
    async with pool.connection() as conn:
        rows = await conn.fetch("SELECT payloads FROM outbox ORDER BY id")
    return [CloudEvent.decode(payload) for row in rows for payload in row["payloads"]]


async def told_of(pool: Pool, kind: type[E]) -> list[E]:
    """Read what it tells of one kind, in order."""
    return [kind.of(event) for event in await told(pool) if event.type == kind.type]
