"""A child process under supervision: started, awaited, stopped, and never left behind.

Each child leads its own process group, so a Ctrl-C at the terminal reaches us alone and we stop it in order; it gets a
signal from the kernel when we die in whatever way (`launch.py`); and it is on record for the next start
(`leftovers.py`). A child belongs to the thread that started it, as the kernel's signal comes at that thread's end:
start processes from the main thread.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal, Never

from deploy.embedded import leftovers

LAUNCHER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
POLL_S = 0.005
LAST_LINES = 20

Identity = Literal["self", "namespace", "nobody"]


class ProcessFailedError(Exception):
    """A supervised process died, did not become ready or did not succeed; the text ends with its last log lines."""


@dataclass(eq=False)
class Process:
    """A program that runs until it is stopped.

    Logs go to `home/logs/NAME.log` (appended), the record to `home/run/NAME.json`. `env` is added to our environment.
    `ready` is asked every few milliseconds and must answer quickly. `orphan_signal` is what the kernel sends when we
    die. One object can be started again after it was stopped, killed, or died.
    """

    name: str
    argv: Sequence[str | Path]
    _: KW_ONLY
    home: Path
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    identity: Identity = "self"
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 10.0
    patience_s: float = 60.0
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _log_start: int = field(default=0, init=False, repr=False)

    @property
    def log(self) -> Path:
        """Where the process writes what it has to say."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def running(self) -> bool:
        """Whether the process lives, be it ready, stopped in its tracks or neither."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process last started."""
        return self._started().pid

    async def start(self) -> None:
        """Start it and return once it is ready; raises ProcessFailedError if it dies or takes too long."""
        self._spawn()
        try:
            async with asyncio.timeout(self.patience_s):
                await self._until_ready()
        except BaseException as error:
            self.kill()
            if isinstance(error, TimeoutError):
                raise self._failed(f"was not ready after {self.patience_s:g} s") from None
            raise

    async def stop(self) -> None:
        """Ask it to stop, kill it if it has not after the grace, and return once it is gone."""
        if not self.running:
            return self._forget()
        self.send(self.stop_signal)
        self.resume()  # a paused process would not hear the signal
        try:
            async with asyncio.timeout(self.grace_s):
                await self.ended()
        except TimeoutError:
            pass
        finally:
            self.kill()

    async def restart(self, *, env: Mapping[str, str] | None = None) -> None:
        """Stop it and start it again, with another added environment if one is given."""
        await self.stop()
        if env is not None:
            self.env = env
        await self.start()

    def kill(self) -> None:
        """Kill it and all it started with SIGKILL; does nothing to a process that is gone."""
        if self.running:
            leftovers.end_family(self.pid)
            self._started().wait(timeout=self.grace_s)
        self._forget()

    def pause(self) -> None:
        """Stop it and all it started in their tracks (SIGSTOP), as on a machine that hangs."""
        leftovers.freeze(self.pid)

    def resume(self) -> None:
        """Let it and all it started go on."""
        leftovers.signal_family(self.pid, signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing to a process that is gone."""
        self._started().send_signal(number)

    async def ended(self) -> int:
        """Wait until it ends by itself or by a signal; returns its exit code, negative for a signal."""
        while (code := self._started().poll()) is None:  # noqa: ASYNC110  # no event comes from the kernel
            await asyncio.sleep(POLL_S)
        return code

    def last_lines(self) -> str:
        """Return what it logged last, since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:])

    def _spawn(self) -> None:
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(  # noqa: S603  # our own programs, and no shell
                [*LAUNCHER, str(os.getpid()), str(int(self.orphan_signal)), self.identity, *map(str, self.argv)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                cwd=self.cwd,
                process_group=0,
            )
        leftovers.note(self._record, self.pid)

    async def _until_ready(self) -> None:
        while self.running:
            if await self.ready():
                return
            await asyncio.sleep(POLL_S)
        raise self._failed(f"ended with code {self._started().returncode}")

    def _failed(self, how: str) -> ProcessFailedError:
        return ProcessFailedError(f"{self.name} {how}. The end of {self.log}:\n{self.last_lines()}")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    def _forget(self) -> None:
        """Take it off the record, unless it was never ours: the record may be that of another stack in this folder."""
        if self._child is not None:
            self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self.home / "run" / f"{self.name}.json"


async def run_to_end(
    name: str, argv: Sequence[str | Path], *, home: Path, identity: Identity = "self", patience_s: float = 300
) -> None:
    """Run a program that does one thing, supervised as the others; raises ProcessFailedError unless it exits with 0."""
    process = Process(name, argv, home=home, ready=_at_once, identity=identity)
    await process.start()
    try:
        async with asyncio.timeout(patience_s):
            code = await process.ended()
    finally:
        process.kill()
    if code != 0:
        raise ProcessFailedError(f"{name} failed with code {code}. The end of {process.log}:\n{process.last_lines()}")


async def first_failure(processes: Iterable[Process]) -> Never:
    """Watch processes that should go on running; raises ProcessFailedError when one ends."""
    watched = {asyncio.ensure_future(process.ended()): process for process in processes}
    try:
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in watched:
            task.cancel()
    process = watched[done.pop()]
    raise ProcessFailedError(f"{process.name} ended. The end of {process.log}:\n{process.last_lines()}")


async def _at_once() -> bool:
    return True
