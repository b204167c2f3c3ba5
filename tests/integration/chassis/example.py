"""A service as small as can be, to run as a process: `python -m tests.integration.chassis.example all`.

What it does waits for the file that SCRIP_EXAMPLE_GATE names, and leaves an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from faststream import AckPolicy
from pydantic import Field

from libs.chassis import inbox, outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job, Part
from libs.chassis.service import Foundation, main
from libs.chassis.settings import ServiceSettings, settings_for
from libs.chassis.telemetry import log
from libs.contracts.envelope import CloudEvent
from libs.contracts.topics import Topic
from tests.integration.chassis.kafka import about
from tests.integration.chassis.waiting import until


class Settings(ServiceSettings):
    """What the example needs to run."""

    model_config = settings_for("example")

    gate: Path = Field(description="what it does waits for this file")
    topic: str = Field(description="where it listens")
    told: str = Field(description="where it tells of what came")


@dataclass
class Example:
    """What the service does, wherever it is asked from."""

    settings: Settings
    pool: Pool
    clock: Clock

    async def leave(self, key: str, number: int, *, seen: CloudEvent | None = None) -> None:
        """Leave an effect and tell of it; once for what was seen before."""
        log.info("example.waits", key=key)
        await until(self.settings.gate.exists)
        numbered = about(Topic(self.settings.told, key="whatever"))
        async with self.pool.transaction() as conn:
            at = self.clock.now()
            if seen is None or await inbox.first_time(conn, consumer="test", message_id=seen.id, at=at):
                await conn.execute("INSERT INTO effect (key, number) VALUES ($1, $2)", key, number)
                await outbox.append(conn, numbered(name=key, number=number), at=at)

    async def handle(self, events: Sequence[CloudEvent]) -> None:
        """Handle messages."""
        for event in events:
            await self.leave(event.data["name"], event.data["number"], seen=event)

    async def once(self) -> int:
        """Make a pass of its job."""
        await self.leave("job", 1)
        return 0

    def routes(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()

        @router.post("/effects")
        async def effects() -> dict[str, str]:
            await self.leave("request", 1)
            return {"status": "done"}

        @router.post("/bugs")
        async def bugs(password: str) -> None:
            held = {"password": password}
            raise ZeroDivisionError(len(held))

        return router


async def compose(settings: Settings, foundation: Foundation) -> list[Part]:
    """Put the service together."""
    example = Example(settings, foundation.pool, foundation.clock)
    app = foundation.app()
    if foundation.serves:
        app.include_router(example.routes())
    if not foundation.works:
        return foundation.parts(app)
    topic = Topic(settings.topic, key="whatever")
    foundation.consumers.subscribe(topic, example.handle, ack_policy=AckPolicy.NACK_ON_ERROR, parks=True)
    return foundation.parts(app, jobs=[Job("example", example.once, every_seconds=3600)])


if __name__ == "__main__":
    main("example", Settings, Path(__file__).parent / "no-migrations", compose)
