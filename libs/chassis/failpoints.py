"""Named points at which a test may have a process die, between "claimed" and "committed" above all.

Reaching an armed point is SIGKILL, as if the machine had lost power. `SCRIP_FAIL_POINT` arms one for the life of the
process; `SCRIP_FAIL_POINT_FILE` names a file in which a test writes one while the process runs, and which the dying
process removes. With neither, which is always but in tests, a point costs two comparisons.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

_armed = ""
_file: Path | None = None


def arm(name: str, *, file: Path | None = None) -> None:
    """Arm a point (or none, by the empty name), and those that `file` will name; called once, at the start."""
    global _armed, _file
    _armed, _file = name, file


def reach(name: str) -> None:
    """Pass the point, or die there if it is armed."""
    if _armed == name or (_file is not None and _taken(_file, name)):
        os.kill(os.getpid(), signal.SIGKILL)


def _taken(file: Path, name: str) -> bool:
    with suppress(FileNotFoundError):
        if file.read_text("ascii") == name:
            file.unlink()
            return True
    return False
