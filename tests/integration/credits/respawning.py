"""A supervisor that keeps credits workers alive: `python -m tests.integration.credits.respawning NUMBER`.

Each worker is a process of its own, and does what `python -m services.credits worker` does. It is forked from this one,
which has imported everything: an import takes a second of a core, fifty of them would take most of a test's time.
"""

import os
import signal
import sys
from pathlib import Path

import services.credits
from deploy.embedded.launch import PR_SET_PDEATHSIG, libc
from libs.chassis.service import main
from services.credits.app import compose
from services.credits.settings import Settings

FOLDER = Path(services.credits.__file__).parent


def keep_alive(number: int) -> None:
    """Start so many workers, and another for each that dies. Returns in a worker, when it ends in order."""
    for _ in range(number):
        if fork():
            return
    while True:
        os.wait()
        if fork():
            return


def fork() -> bool:
    """Fork a worker; tells the worker that it is one, once it has ended."""
    if os.fork():
        return False
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    sys.argv[1:] = ["worker"]
    main("credits", Settings, FOLDER, compose)
    return True


if __name__ == "__main__":
    keep_alive(int(sys.argv[1]))
