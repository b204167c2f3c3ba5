"""Who was started, on record, so that the next start finds what a crashed run left behind.

A process is known by its id and the moment it started: ids are used again, and a stranger is never killed.
"""

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

# psutil derives the moment from the boot time, which the kernel rounds to a second, up or down.
SAME_MOMENT_S = 2.0
OBEYED_WITHIN_S = 5.0  # SIGSTOP and SIGKILL are; longer only when the kernel itself hangs
POLL_S = 0.002


def note(record: Path, pid: int) -> None:
    """Put a process on record, whole or not at all."""
    record.parent.mkdir(parents=True, exist_ok=True)
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}), "utf-8")
    draft.replace(record)


def noted(record: Path) -> psutil.Process | None:
    """Return the process on record if it still lives."""
    try:
        entry = json.loads(record.read_text("utf-8"))
        process = psutil.Process(entry["pid"])
        same = abs(process.create_time() - entry["started"]) < SAME_MOMENT_S
        return process if same and alive(process) else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def end_leftovers(records: Path) -> list[str]:
    """Kill every recorded process that still lives, with all it started; return their names."""
    ended = []
    for record in sorted(records.glob("*.json")):
        if process := noted(record):
            end_family(process.pid)
            ended.append(record.stem)
        record.unlink()
    return ended


def signal_family(pid: int, number: signal.Signals) -> list[psutil.Process]:
    """Signal a process and its descendants, which need not share its process group (PostgreSQL's do not)."""
    members: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        members = [leader, *leader.children(recursive=True)]
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(number)
    return members


def freeze(pid: int) -> None:
    """Stop a process and all its descendants in their tracks, and wait until they stand still."""
    members = signal_family(pid, signal.SIGSTOP)
    _wait_while(lambda: any(alive(member) and member.status() != psutil.STATUS_STOPPED for member in members))


def end_family(pid: int) -> None:
    """Kill a process and all its descendants, and wait until they are gone."""
    freeze(pid)  # so that none starts another while they are counted
    members = signal_family(pid, signal.SIGKILL)
    _wait_while(lambda: any(map(alive, members)))


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still does anything; a zombie only waits for its parent to take note."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_while(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + OBEYED_WITHIN_S
    with suppress(psutil.NoSuchProcess):
        while condition() and time.monotonic() < deadline:
            time.sleep(POLL_S)
