"""The servers under Scrip, started together and stopped together; those that exist already are left to themselves."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Never, Protocol, Self

from deploy.embedded.claim import claimed
from deploy.embedded.distribution import Distribution
from deploy.embedded.kafka import Kafka
from deploy.embedded.mail import Mail
from deploy.embedded.ports import free_ports
from deploy.embedded.postgres import Postgres
from deploy.embedded.processes import Process, first_failure
from deploy.embedded.settings import PROJECT, Settings
from deploy.embedded.valkey import Valkey


class Server(Protocol):
    """What PostgreSQL, Valkey, Kafka and the mailbox have in common."""

    name: str
    process: Process

    async def start(self) -> None: ...  # noqa: D102  # as said at each of them
    async def stop(self) -> None: ...  # noqa: D102


class Infrastructure:
    """PostgreSQL, Valkey, Kafka and a mailbox with all data in one folder, which nobody else uses meanwhile.

    As a context manager it starts all, or what is left to start beside the addresses that the settings give, and
    stops what it started. `postgres`, `valkey`, `broker` and `mail` are there to be killed, paused, started again and
    wiped; one whose address was given is not running. An object starts once.
    """

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = print) -> None:
        self._given = settings
        self._say = say
        self._home = home = settings.data.absolute()
        self._claim = ExitStack()
        secret = _kept_secret(home)
        postgres, valkey, kafka, controller, smtp, http = free_ports(6)
        distribution = Distribution(settings.cache.absolute(), repository=settings.maven_repository, say=say)
        self.postgres = Postgres(home, port=postgres, password=secret)
        self.valkey = Valkey(home, port=valkey, password=secret)
        self.broker = Kafka(home, port=kafka, controller_port=controller, distribution=distribution)
        self.mail = Mail(home, smtp_port=smtp, http_port=http)

    @property
    def database_url(self) -> str:
        """PostgreSQL's address, as one who may create roles and databases."""
        return self._given.database_url or self.postgres.url

    @property
    def redis_url(self) -> str:
        """Valkey's or Redis's address."""
        return self._given.redis_url or self.valkey.url

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap servers."""
        return self._given.kafka or self.broker.url

    @property
    def smtp_url(self) -> str:
        """Where mail is handed in."""
        return self._given.smtp_url or self.mail.url

    @property
    def mailbox_url(self) -> str | None:
        """The page that shows the mail; None if it goes to an existing server."""
        return None if self._given.smtp_url else self.mail.page_url

    def environment(self) -> dict[str, str]:
        """Return the settings by which other programs find the same servers."""
        return {
            "SCRIP_DATABASE_URL": self.database_url,
            "SCRIP_REDIS_URL": self.redis_url,
            "SCRIP_KAFKA": self.kafka,
            "SCRIP_SMTP_URL": self.smtp_url,
        }

    async def start(self) -> None:
        """Start the servers, all at once, and return when they are ready; none is left running if one fails.

        Raises AlreadyRunningError if the folder is in use, ProcessFailedError, and JarUnavailableError.
        """
        self._claim.enter_context(claimed(self._home))
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what was started, all at once, and give the folder back."""
        try:
            await asyncio.gather(*(server.stop() for server in self._ours()))
        finally:
            for process in self.processes():
                process.kill()
            self._claim.close()

    def processes(self) -> list[Process]:
        """Return the processes of the servers that are ours."""
        return [server.process for server in self._ours()]

    async def watch(self) -> Never:
        """Wait until a server ends that nobody stopped; raises ProcessFailedError then."""
        await first_failure(self.processes())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _ours(self) -> list[Server]:
        """Return the servers that no address was given for."""
        servers: list[tuple[Server, str | None]] = [
            (self.postgres, self._given.database_url),
            (self.valkey, self._given.redis_url),
            (self.broker, self._given.kafka),
            (self.mail, self._given.smtp_url),
        ]
        return [server for server, address in servers if address is None]

    async def _start_all(self) -> None:
        servers = self._ours()
        self._say(f"Starting {', '.join(server.name for server in servers) or 'nothing'} in {_shown(self._home)}")
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                took = [group.create_task(_timed_start(server)) for server in servers]
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        each = ", ".join(f"{server.name} {task.result():.1f}" for server, task in zip(servers, took, strict=True))
        self._say(f"Ready in {time.monotonic() - began:.1f} s ({each})")


def _first(failure: BaseException) -> BaseException:
    """Return what went wrong first; the others were cancelled for it."""
    return _first(failure.exceptions[0]) if isinstance(failure, BaseExceptionGroup) else failure


async def _timed_start(server: Server) -> float:
    began = time.monotonic()
    await server.start()
    return time.monotonic() - began


def _shown(folder: Path) -> Path:
    return folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder


def _kept_secret(home: Path) -> str:
    """Read the password of the folder's servers, made at its first use: whole, and only once."""
    file, draft = home / "secret", home / f"secret.{os.getpid()}"
    if not file.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(24), "ascii")
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_text("ascii")
