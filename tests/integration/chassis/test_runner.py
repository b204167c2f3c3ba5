import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from deploy.embedded.ports import free_ports
from libs.chassis import runner
from libs.chassis.http import create_app
from libs.chassis.runner import HttpServer, Job, run
from tests.integration.chassis.kafka import Gate
from tests.integration.chassis.waiting import until


class Recorded:
    """A part that says when it starts and stops."""

    def __init__(self, name: str, log: list[str], *, start: BaseException | None = None, stop: Exception | None = None):
        self.name, self.log = name, log
        self.at_start, self.at_stop = start, stop

    async def start(self) -> None:
        self.log.append(f"start {self.name}")
        if self.at_start:
            raise self.at_start

    async def stop(self) -> None:
        self.log.append(f"stop {self.name}")
        if self.at_stop:
            raise self.at_stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_parts_start_in_order_and_stop_in_reverse_on_a_signal(number: signal.Signals) -> None:
    log: list[str] = []
    running = asyncio.create_task(run([Recorded(name, log) for name in "abc"], name="test"))
    await until(lambda: len(log) == 3)
    os.kill(os.getpid(), number)
    await running
    assert log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


async def test_a_part_that_fails_to_start_stops_those_before_it() -> None:
    log: list[str] = []
    parts = [Recorded("a", log), Recorded("b", log, start=OSError("port taken")), Recorded("c", log)]
    with pytest.raises(OSError, match="port taken"):
        await run(parts, name="test")
    assert log == ["start a", "start b", "stop a"]


async def test_a_part_that_fails_to_stop_does_not_keep_the_others_from_stopping() -> None:
    log: list[str] = []
    parts = [Recorded("a", log), Recorded("b", log, stop=RuntimeError()), Recorded("c", log, start=KeyError())]
    with pytest.raises(KeyError):
        await run(parts, name="test")
    assert log[-2:] == ["stop b", "stop a"]


async def test_a_part_that_never_stops_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_GRACE_SECONDS", 0.01)
    log: list[str] = []

    class Endless(Recorded):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    parts = [Recorded("a", log), Endless("b", log), Recorded("c", log, start=KeyError())]
    with pytest.raises(KeyError):
        await run(parts, name="test")
    assert log[-1] == "stop a"


async def test_a_port_that_is_taken_is_an_error_and_a_stopped_server_gives_its_port_back() -> None:
    (port,) = free_ports(1)
    app = create_app("Test", checks={})
    for _ in range(2):
        server = HttpServer(app, host="127.0.0.1", port=port)
        await server.start()
        with pytest.raises(OSError, match="in use"):
            await HttpServer(app, host="127.0.0.1", port=port).start()
        await server.stop()


async def test_a_server_speaks_ipv6_where_it_is_told_to() -> None:
    server = HttpServer(create_app("Test", checks={}), host="::1", port=0)
    await server.start()
    (listening,) = server._server.servers[0].sockets
    assert listening.family == socket.AF_INET6
    await server.stop()


async def nothing() -> int:
    return 0


def counting(passes: list[int], deed: Callable[[], Awaitable[int]] = nothing) -> Callable[[], Awaitable[int]]:
    """Make a pass that counts itself."""

    async def once() -> int:
        passes.append(len(passes))
        return await deed()

    return once


async def test_a_job_makes_passes_at_once_while_there_is_work_and_then_pauses() -> None:
    passes: list[int] = []
    work = iter([3, 2, 1, 0])

    async def some() -> int:
        return next(work)

    job = Job("test", counting(passes, some), every_seconds=3600)
    await job.start()
    await until(lambda: len(passes) == 4)
    await job.stop()
    assert len(passes) == 4


def _more_than(passes: list[int], number: int) -> bool:
    return len(passes) > number


async def waking(job: Job, passes: list[int], *, times: int) -> None:
    for number in range(times):
        await until(partial(_more_than, passes, number))
        job.wake()
    await until(partial(_more_than, passes, times))


async def test_waking_a_job_cuts_its_pause() -> None:
    passes: list[int] = []
    job = Job("test", counting(passes), every_seconds=3600)
    await job.start()
    await waking(job, passes, times=5)
    await job.stop()


async def test_a_wake_during_a_pass_leads_to_another() -> None:
    passes: list[int] = []
    gate = Gate()

    async def slowly() -> int:
        await gate.passed()
        return 0

    job = Job("test", counting(passes, slowly), every_seconds=3600)
    await job.start()
    await gate.reached.wait()
    job.wake()
    gate.opened.set()
    await until(lambda: len(passes) == 2)
    await job.stop()


async def test_wakes_in_quick_succession_are_one_pass_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    rests = Gate()
    job = Job("test", counting(passes), every_seconds=3600, rest_seconds=7)

    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        await (rests.passed() if seconds == 7 else sleep(seconds))

    await job.start()
    await until(lambda: len(passes) == 1)
    monkeypatch.setattr(asyncio, "sleep", rest)
    job.wake()
    await rests.reached.wait()
    for _ in range(10):
        job.wake()
    rests.opened.set()
    monkeypatch.undo()
    await until(lambda: len(passes) == 2)
    await job.stop()
    assert len(passes) == 2


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("the database is away")])
async def test_a_pass_that_fails_ends_neither_the_job_nor_turns_it_into_a_spin(error: Exception) -> None:
    passes: list[int] = []

    async def fail() -> int:
        raise error

    job = Job("test", counting(passes, fail), every_seconds=3600)
    await job.start()
    await waking(job, passes, times=2)
    await job.stop()
    assert len(passes) == 3


async def test_stopping_a_job_lets_its_pass_finish_and_makes_no_other() -> None:
    passes: list[int] = []
    gate = Gate()

    async def slowly() -> int:
        await gate.passed()
        return 1  # there would be more

    job = Job("test", counting(passes, slowly), every_seconds=3600)
    await job.start()
    await gate.reached.wait()
    stopping = asyncio.create_task(job.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.opened.set()
    await stopping
    assert passes == [0]


async def test_a_job_that_pauses_stops_at_once() -> None:
    passes: list[int] = []
    job = Job("test", counting(passes), every_seconds=3600)
    await job.start()
    await until(lambda: len(passes) == 1)
    await job.stop()


async def test_a_job_that_was_never_started_can_be_stopped() -> None:
    await Job("test", nothing, every_seconds=3600).stop()
