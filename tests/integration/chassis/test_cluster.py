"""A broker that lost everything is told everything again, by whichever process sees it first, and only once."""

from asyncio import gather
from datetime import UTC, datetime, timedelta

from libs.chassis import outbox
from libs.chassis.broker.producer import Message
from libs.chassis.pool import Pool
from tests.support.databases import ServicePool

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOPIC = "scrip.credits.events.v1"


async def published(pool: Pool, *, at: datetime) -> None:
    """Leave a row as the relay leaves it."""
    async with pool.transaction() as conn:
        await outbox.append_messages(conn, TOPIC, [Message("k", b"v")], at=at)
        await conn.execute("UPDATE outbox SET published_at = recorded_at")


async def waiting(pool: Pool) -> int:
    async with pool.connection() as conn:
        return int(await conn.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL"))


async def meet(pool: Pool, cluster: str) -> int:
    async with pool.transaction() as conn:
        return await outbox.meet_cluster(conn, cluster, at=NOW)


async def test_the_first_cluster_and_the_same_again_are_told_nothing_twice(service_pool: ServicePool) -> None:
    pool = await service_pool("credits")
    await published(pool, at=NOW)
    assert [await meet(pool, "one"), await meet(pool, "one")] == [0, 0]
    assert await waiting(pool) == 0


async def test_another_cluster_is_told_everything_that_is_kept_once(service_pool: ServicePool) -> None:
    pool = await service_pool("credits")
    await meet(pool, "one")
    await published(pool, at=NOW - timedelta(days=6))
    await published(pool, at=NOW)
    assert sorted(await gather(*(meet(pool, "two") for _ in range(5)))) == [0, 0, 0, 0, 2]
    assert await waiting(pool) == 2
