"""Jars by their checksums: fetched once from a Maven repository, and never used unverified.

A lock file names each jar's coordinates and SHA-256. All of them are hashed at every start (46 MB in 0.05 s).
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.processes import run_to_end

AT_ONCE = 8
ATTEMPTS = 3
# A jar fetched again must not look changed to Java, whose class archives name their jars by size and time.
SAME_TIME = (1_000_000_000, 1_000_000_000)


class JarUnavailableError(Exception):
    """A jar could not be fetched, or what came is not what its checksum says."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in a repository and on disk."""
        return f"{self.artifact}-{self.version}.jar"

    def is_at(self, path: Path) -> bool:
        """Tell whether the file is there and is this jar, byte by byte."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def read_lock(lock: Path) -> list[Jar]:
    """Read lines of `group:artifact:version sha256`; a line that starts with # is a comment."""
    lines = [line for line in lock.read_text("utf-8").splitlines() if not line.startswith("#")]
    return [Jar(*line.replace(":", " ").split()) for line in lines]


async def missing(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Return the jars that the folder has not, or has otherwise than they should be."""
    jars = list(jars)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        loop = asyncio.get_running_loop()
        there = await asyncio.gather(*(loop.run_in_executor(threads, j.is_at, folder / j.filename) for j in jars))
    return [jar for jar, ok in zip(jars, there, strict=True) if not ok]


async def fetch(jars: Iterable[Jar], folder: Path, *, repository: str | None, home: Path) -> None:
    """Put the jars into the folder, each whole and verified or not at all; from Maven Central if no mirror is named.

    Uses `mvn`, where there is one, if the plain way fails: it knows the user's proxies and mirrors. Raises
    JarUnavailableError.
    """
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, _fetch, j, folder, repository) for j in jars))
    except JarUnavailableError:
        if not (mvn := shutil.which("mvn")):
            raise
        await _fetch_with_maven(mvn, await missing(jars, folder), folder, home=home)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _fetch(jar: Jar, folder: Path, repository: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    failure: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            return _download(jar, folder, repository)
        except (OSError, RuntimeError, JarUnavailableError) as error:  # what requests, jgo and we raise
            failure = error
    raise JarUnavailableError(
        f"{jar.filename} could not be fetched from {repository or 'Maven Central'}: {failure}. "
        "Is there a way out? SCRIP_MAVEN_REPOSITORY names a mirror."
    )


def _download(jar: Jar, folder: Path, repository: str | None) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415  # half a second, needed once

    # jgo (3.2) writes in place and only warns of a wrong checksum: a folder of its own, then ours to judge.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        mirror = {"mirror": repository} if repository else None  # none: jgo knows where Maven Central is
        maven = MavenContext(repo_cache=Path(scratch), local_repos=[], remote_repos=mirror, timeout=20)
        _accept(jar, maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve(), folder)


async def _fetch_with_maven(mvn: str, jars: list[Jar], folder: Path, *, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        project = _project_of(jars, scratch)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={scratch}"]
        await run_to_end("mvn", [mvn, "--batch-mode", "--quiet", f"--file={project}", *goal], home=home)
        for jar in jars:
            _accept(jar, Path(scratch, jar.filename), folder)


def _project_of(jars: list[Jar], folder: str) -> Path:
    """Write a Maven project that depends on exactly these jars."""
    alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "".join(
        f"<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId>"
        f"<version>{jar.version}</version>{alone}</dependency>"
        for jar in jars
    )
    project = Path(folder, "pom.xml")
    project.write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>scrip</groupId><artifactId>jars</artifactId>"
        f"<version>1</version><dependencies>{dependencies}</dependencies></project>",
        "utf-8",
    )
    return project


def _accept(jar: Jar, file: Path, folder: Path) -> None:
    """Take a fetched file into the folder if it is the jar."""
    if not jar.is_at(file):
        raise JarUnavailableError(f"{jar.filename} came with another content than its pinned checksum")
    os.utime(file, SAME_TIME)
    file.replace(folder / jar.filename)
