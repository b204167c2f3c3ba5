import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from deploy.embedded import leftovers
from deploy.embedded.processes import Process, ProcessFailedError, first_failure, run_to_end
from deploy.embedded.settings import PROJECT
from tests.integration.embedded.waiting import until_gone

DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
PARENT_OF_A_STRAY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", child.pid, flush=True); time.sleep(600)
"""


class Program(Process):
    """A line of Python that is ready once it has said `up`."""

    def __init__(self, home: Path, code: str, **more: object) -> None:
        super().__init__("program", [sys.executable, "-c", code], home=home, ready=self._up, **more)  # type: ignore[arg-type]

    async def _up(self) -> bool:
        return "up" in self.last_lines().split()


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[Program]:
    """A program that ignores SIGTERM."""
    program = Program(tmp_path, DEAF, grace_s=0.1)
    await program.start()
    yield program
    program.kill()


async def test_a_process_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    program = Program(tmp_path, "import sys; print('disk on fire'); sys.exit(3)")
    with pytest.raises(ProcessFailedError, match=r"program ended with code 3(.|\n)*disk on fire"):
        await program.start()


async def test_a_program_that_does_not_exist_is_reported_by_name(tmp_path: Path) -> None:
    program = Process("ghost", ["/no/such/program"], home=tmp_path, ready=lambda: asyncio.sleep(0, False))
    with pytest.raises(ProcessFailedError, match="cannot run /no/such/program"):
        await program.start()


async def test_a_process_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    program = Program(tmp_path, "import time; time.sleep(600)", patience_s=0.2)
    with pytest.raises(ProcessFailedError, match=r"not ready after 0\.2 s"):
        await program.start()
    assert not program.running


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path) -> None:
    program = Program(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await program.start()
    assert not program.running


async def test_stopping_asks_first(tmp_path: Path) -> None:
    polite = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True)"
    program = Program(tmp_path, polite + "; signal.pause()")
    await program.start()
    await program.stop()
    assert await program.ended() == 7


async def test_who_does_not_listen_is_killed_after_the_grace(deaf: Program) -> None:
    await deaf.stop()
    assert await deaf.ended() == -signal.SIGKILL


async def test_a_paused_process_can_be_stopped(tmp_path: Path) -> None:
    program = Program(tmp_path, "import signal; print('up', flush=True); signal.pause()")
    await program.start()
    program.pause()
    assert psutil.Process(program.pid).status() == psutil.STATUS_STOPPED
    await program.stop()
    assert await program.ended() == -signal.SIGTERM


async def test_a_resumed_process_goes_on(deaf: Program) -> None:
    deaf.pause()
    deaf.resume()
    assert psutil.Process(deaf.pid).status() != psutil.STATUS_STOPPED


async def test_killing_reaches_what_the_process_started_even_in_other_sessions(tmp_path: Path) -> None:
    program = Program(tmp_path, PARENT_OF_A_STRAY)
    await program.start()
    stray = int(program.last_lines().split()[1])
    program.kill()
    await until_gone(stray)
    assert not program.running


async def test_a_restart_can_change_the_environment(tmp_path: Path) -> None:
    program = Program(
        tmp_path, "import os, signal; print(os.environ['TUNE'], 'up', flush=True); signal.pause()", env={"TUNE": "a"}
    )
    await program.start()
    assert program.last_lines() == "a up"
    await program.restart(env={"TUNE": "b"})
    assert program.last_lines() == "b up"
    await program.stop()


async def test_a_signal_to_our_process_group_does_not_reach_the_children(deaf: Program) -> None:
    assert os.getpgid(deaf.pid) == deaf.pid != os.getpgid(0)


async def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from tests.integration.embedded.test_processes import DEAF, Program
async def main():
    program = Program(Path({str(tmp_path)!r}), DEAF)
    await program.start()
    print(program.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=PROJECT, stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(await parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    await parent.wait()
    await until_gone(child)


async def test_a_leftover_on_record_is_killed_by_the_next_start(deaf: Program) -> None:
    assert leftovers.end_leftovers(deaf.home / "run") == ["program"]
    assert await deaf.ended() == -signal.SIGKILL


async def test_a_stranger_who_got_the_same_id_is_left_alone(deaf: Program) -> None:
    record = deaf.home / "run" / "program.json"
    before = psutil.Process(deaf.pid).create_time() - 60
    record.write_text(f'{{"pid": {deaf.pid}, "started": {before}}}')
    assert leftovers.end_leftovers(deaf.home / "run") == []
    assert deaf.running


async def test_a_command_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError, match=r"make failed with code 1(.|\n)*no rule"):
        await run_to_end("make", [sys.executable, "-c", "import sys; sys.exit('no rule')"], home=tmp_path)


async def test_watching_reports_the_first_that_ends(deaf: Program) -> None:
    watching = asyncio.ensure_future(first_failure([deaf]))
    await asyncio.sleep(0)
    deaf.send(signal.SIGKILL)
    with pytest.raises(ProcessFailedError, match="program ended"):
        await watching
