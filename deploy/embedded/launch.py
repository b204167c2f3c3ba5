"""Become another program that dies with its parent: `launch.py PARENT SIGNAL IDENTITY PROGRAM ARGUMENT...`.

Run by path in an isolated interpreter (`python -I -S`, 10 ms), with the standard library alone. It exists because what
it does must happen between fork and exec, where the many threads of the parent make Python code unsafe.

IDENTITY says under whom the program runs, for PostgreSQL, which refuses to run as root:

- `self`: as whoever we are.
- `namespace`: as `nobody` in a user namespace where that is another name for root. The program has no privilege at
  all and yet reads and owns root's files, also below folders that only root may enter.
- `nobody`: as the real `nobody` with the one capability of passing file permissions, for machines that forbid
  namespaces (a container as Docker starts it).
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CLONE_NEWUSER = 0x10000000
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
NOT_LAUNCHED = 126  # as a shell says of a program that it cannot run

libc = ctypes.CDLL(None, use_errno=True)


def main(parent: int, orphan_signal: int, identity: str, *command: str) -> None:
    """Take the identity, tie our life to the parent's, and become the command."""
    try:
        if identity == "namespace":
            _enter_namespace()
        elif identity == "nobody":
            _become_nobody()
        _die_with(parent, orphan_signal)
        os.execv(command[0], command)  # noqa: S606  # no shell is the point
    except OSError as error:
        sys.exit(_explain(f"cannot run {command[0]} as {identity}: {error}"))


def _die_with(parent: int, orphan_signal: int) -> None:
    """Ask the kernel (Linux alone) for a signal at the parent's death; last, as a change of identity cancels it."""
    if sys.platform == "linux":
        _call("prctl", PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(_explain("the parent died before its child began"))


def _enter_namespace() -> None:
    outside_user, outside_group = os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} {outside_user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} {outside_group} 1", "ascii")


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    # Else the kernel drops capabilities with root's name, and access(2) asks without them.
    _call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    _keep_only(CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> None:
    """Drop every capability but this one, which the next program inherits."""
    word = ctypes.c_uint32
    header = (word * 2)(CAPABILITY_VERSION_3, 0)
    low_and_high = (word * 6)(*[1 << capability] * 3, 0, 0, 0)  # effective, permitted, inheritable, twice
    _call("capset", header, low_and_high)
    _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _call(function: str, *arguments: object) -> None:
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _explain(reason: str) -> int:
    sys.stderr.write(f"launch: {reason}\n")
    return NOT_LAUNCHED


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
