"""Generates videos for credits: a hold for each job, and usage events for previews.

`libs.contracts` is what other teams install as `scrip_contracts`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from libs.contracts.client import CreditsClient, CreditsClientError, UsageClient
from libs.contracts.credits import format_credits
from libs.contracts.http.spending_v1 import Estimate
from libs.contracts.ids import AccountId

log = logging.getLogger(__name__)

METER = "video.generation"
LIFE_SECONDS = 30
"""How long a job's credits stay reserved if this process dies; while it lives, the client extends the hold."""
UNRENDERABLE = "unrenderable"


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from place to place; the API key has the scopes `holds:write` and `usage:write`."""

    gateway: str
    api_key: str
    spool: Path
    seconds_a_scene: float


class Order(BaseModel):
    """A video: a minute for each scene."""

    account: AccountId
    resolution: Literal["720p", "1080p"] = "720p"
    scenes: list[str] = Field(min_length=1, max_length=100)


class Preview(BaseModel):
    """A minute, quickly made."""

    account: AccountId
    scene: str


class Job(BaseModel):
    """What became of an order."""

    id: str
    state: Literal["running", "done", "failed"] = "running"
    credits: str | None = None
    """What it cost."""
    why: str | None = None
    """Why it failed."""


class CannotRenderError(Exception):
    """There is a scene that nobody can render."""


@dataclass
class Studio:
    """Runs jobs. What a job reserved is captured or released before it ends, also when the service is stopped."""

    credits: CreditsClient
    usage: UsageClient
    seconds_a_scene: float
    jobs: dict[str, Job] = field(default_factory=dict)
    running: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, order: Order) -> Job:
        """Begin a job, unless the account could not pay for it. Raises HTTPException."""
        cost = await self._cost(order, minutes=len(order.scenes))
        if not cost.affordable:
            raise HTTPException(402, f"this costs {format_credits(cost.credits)} credits: {cost.detail}")
        job = Job(id=uuid4().hex)
        self.jobs[job.id] = job
        task = asyncio.create_task(self._run(job, order))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return job

    async def preview(self, wanted: Preview) -> str:
        """Make a preview, and report it: it is on disk when this returns, and charged soon, whoever dies meanwhile."""
        return await self.usage.usage(wanted.account, METER, 1, {"resolution": "720p"})

    async def stop(self) -> None:
        """Give up what runs."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def _run(self, job: Job, order: Order) -> None:
        try:
            job.credits = await self._generate(job, order)
            job.state = "done"
        except (CannotRenderError, CreditsClientError) as error:
            job.state, job.why = "failed", str(error)

    async def _generate(self, job: Job, order: Order) -> str:
        """Reserve the most it can cost, work, and take what it did cost; leaving the block releases the rest."""
        async with self.credits.hold(
            order.account,
            meter=METER,
            quantity=len(order.scenes),
            properties={"resolution": order.resolution},
            reference=("video", job.id),
            expires_in=LIFE_SECONDS,
        ) as hold:
            cost = await self._cost(order, minutes=await self._render(order.scenes))
            captured = await hold.capture(format_credits(cost.credits))
            return format_credits(captured.captured)

    async def _cost(self, order: Order, *, minutes: int) -> Estimate:
        resolution = {"resolution": order.resolution}
        return await self.credits.estimate(order.account, meter=METER, quantity=minutes, properties=resolution)

    async def _render(self, scenes: Sequence[str]) -> int:
        """Render each scene once, and return how many minutes that were. Raises CannotRenderError."""
        different = set(scenes)
        for scene in different:
            await asyncio.sleep(self.seconds_a_scene)
            if scene == UNRENDERABLE:
                raise CannotRenderError(f"nobody can render {scene!r}")
        return len(different)


def create_app(settings: Settings) -> FastAPI:
    """Make the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            credits = await stack.enter_async_context(CreditsClient(settings.gateway, settings.api_key))
            usage = await stack.enter_async_context(
                UsageClient.http(
                    settings.gateway,
                    settings.api_key,
                    source="/video-generator",
                    spool=settings.spool,
                    on_refused=lambda refusal: log.error("refused: %s", refusal),
                )
            )
            studio = app.state.studio = Studio(credits, usage, settings.seconds_a_scene)
            stack.push_async_callback(studio.stop)
            yield

    app = FastAPI(title="Video generator", lifespan=lifespan)

    @app.post("/videos", status_code=202)
    async def start(order: Order) -> Job:
        studio: Studio = app.state.studio
        return await studio.start(order)

    @app.get("/videos/{id}")
    async def show(id: str) -> Job:
        studio: Studio = app.state.studio
        if id not in studio.jobs:
            raise HTTPException(404, "no such video")
        return studio.jobs[id]

    @app.post("/previews", status_code=202)
    async def preview(wanted: Preview) -> str:
        studio: Studio = app.state.studio
        return await studio.preview(wanted)

    return app
