"""The runner: starts the parts of a process in order, stops them in reverse, on SIGTERM, SIGINT or a part's failure."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.telemetry import JOB_PASSES, log

_GRACE_SECONDS = 20
_PASS_GRACE_SECONDS = 15
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Part(Protocol):
    """Something that runs as long as the process: a pool, a relay, consumers, a job, the HTTP server."""

    async def start(self) -> None:
        """Begin; return once begun."""

    async def stop(self) -> None:
        """Finish what is in hand, then end."""


class Job:
    """A bounded pass, repeated: at once while it finds work, else after a pause.

    A pass returns how much it did. It is safe to run twice, and safe to die in. `rest_seconds` lie between two passes
    even when there is work, so that what comes in quick succession is done together.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[int]],
        *,
        every_seconds: float,
        rest_seconds: float = 0,
    ) -> None:
        self._name = name
        self._pass = run
        self._pause = every_seconds
        self._rest = rest_seconds
        self._news = asyncio.Event()
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Cut the pause short."""
        self._news.set()

    async def start(self) -> None:
        """Begin to make passes."""
        self._loop = asyncio.create_task(self._repeat(), name=f"job-{self._name}")

    async def stop(self) -> None:
        """Let the pass in hand finish."""
        self._stopping = True
        self._news.set()
        if self._loop is not None:
            done, _ = await asyncio.wait([self._loop], timeout=_PASS_GRACE_SECONDS)
            if not done:
                self._loop.cancel()

    async def _repeat(self) -> None:
        while not self._stopping:
            self._news.clear()
            did = await self._run_once()
            if not did and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._news.wait()
            await asyncio.sleep(self._rest)

    async def _run_once(self) -> int:
        try:
            did = await self._pass()
        except RETRYABLE as error:
            log.warning("job.retries", job=self._name, error=repr(error))
            did, outcome = 0, "retry"
        except Exception:
            log.exception("job.failed", job=self._name)
            did, outcome = 0, "failed"
        else:
            outcome = "done"
        JOB_PASSES.labels(self._name, outcome).inc()
        return did


class HttpServer:
    """Uvicorn as a part of the process: it leaves signals to the runner."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=10, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listening = socket.create_server((config.host, config.port), family=family, backlog=config.backlog)
        await self._server.startup(sockets=[listening])
        log.info("http.listens", host=config.host, port=listening.getsockname()[1])
        self._serving = asyncio.create_task(self._server.main_loop(), name="http")

    async def stop(self) -> None:
        """Answer what has been asked, refuse more."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
            await self._server.shutdown()


async def run(parts: Sequence[Part], *, name: str) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    started: list[Part] = []
    try:
        for part in parts:
            await part.start()
            started.append(part)
        log.info("process.started", process=name)
        await stop.wait()
    finally:
        log.info("process.stopping", process=name)
        for part in reversed(started):
            await _stop(part)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _stop(part: Part) -> None:
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await part.stop()
    except Exception:
        log.exception("process.part_did_not_stop", part=type(part).__name__)
