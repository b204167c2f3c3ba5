"""A worker as a process of its own, to be paused: DATABASE_URL KAFKA TOPIC SESSION_MS GATE.

It says "up" once its group has taken it in, "here" when it has something to handle, and handles it once the file GATE
is there.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from faststream import AckPolicy

from libs.chassis import inbox
from libs.chassis.broker.subscriptions import Consumers
from libs.chassis.clock import Clock
from libs.chassis.pool import open_pool
from libs.contracts.envelope import CloudEvent
from libs.contracts.topics import Topic
from tests.integration.chassis.waiting import until


async def main(url: str, servers: str, topic: str, session_ms: str, gate: str) -> None:
    """Work until killed."""
    clock, pool = Clock(), await open_pool(url, size=4, name="zombie")

    async def handle(events: Sequence[CloudEvent]) -> None:
        say("here")
        await until(Path(gate).exists)
        async with pool.transaction() as conn:
            for event in events:
                if await inbox.first_time(conn, consumer="test", message_id=event.id, at=clock.now()):
                    name, number = event.data["name"], event.data["number"]
                    await conn.execute("INSERT INTO effect (key, number) VALUES ($1, $2)", name, number)
        say("done")

    consumers = Consumers(servers, service="test", pool=pool, clock=clock, session_timeout_ms=int(session_ms))
    consumers.subscribe(
        Topic(topic, key="whatever"),
        handle,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        parks=False,
        whole_batches=True,
    )
    await consumers.start()
    await until(consumers.ready)
    say("up")
    await asyncio.Event().wait()


def say(word: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
