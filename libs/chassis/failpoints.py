"""Named points at which a test may have a process die, between "claimed" and "committed" above all.

`SCRIP_FAIL_POINT=payments.settle.before_commit` arms one for the life of the process; reaching it is SIGKILL, as if
the machine had lost power. Unarmed, which is always but in tests, a point costs one comparison.
"""

import os
import signal

_armed = ""


def arm(name: str) -> None:
    """Arm a point (or none, by the empty name); called once, by `app.py`."""
    global _armed  # noqa: PLW0603 - one per process by intent: a point is reached from anywhere
    _armed = name


def reach(name: str) -> None:
    """Pass the point, or die there if it is armed."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
