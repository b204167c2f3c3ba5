import hashlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.embedded import jars
from deploy.embedded.distribution import LOCK
from deploy.embedded.jars import Jar, JarUnavailableError

CONTENT = b"what the jar holds"
JAR = Jar("org.example", "small", "1.0", hashlib.sha256(CONTENT).hexdigest())
NOWHERE = "http://127.0.0.1:1"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Repository:
    """A Maven repository of one jar, over HTTP."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.jar = folder / "org" / "example" / "small" / "1.0" / JAR.filename
        self.jar.parent.mkdir(parents=True)
        self.jar.write_bytes(CONTENT)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    folder = tmp_path / "repository"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield Repository(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def without_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whether this machine has an mvn must not matter; returns the folder where a test can put one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


async def test_a_jar_is_fetched_whole_and_leaves_nothing_else(tmp_path: Path, repository: Repository) -> None:
    folder = tmp_path / "jars"
    assert await jars.missing([JAR], folder) == [JAR]
    await jars.fetch([JAR], folder, repository=repository.url, home=tmp_path)
    assert await jars.missing([JAR], folder) == []
    assert [file.name for file in folder.iterdir()] == [JAR.filename]


async def test_a_jar_that_was_corrupted_on_disk_is_refused_and_fetched_again(
    tmp_path: Path, repository: Repository
) -> None:
    folder = tmp_path / "jars"
    await jars.fetch([JAR], folder, repository=repository.url, home=tmp_path)
    there = folder / JAR.filename
    before = there.stat()
    there.write_bytes(CONTENT[:-1] + b"?")
    assert await jars.missing([JAR], folder) == [JAR]
    await jars.fetch([JAR], folder, repository=repository.url, home=tmp_path)
    assert there.read_bytes() == CONTENT
    assert there.stat().st_mtime == before.st_mtime  # else Java would no longer use its archive of classes


async def test_a_jar_that_is_not_what_was_pinned_is_refused(tmp_path: Path, repository: Repository) -> None:
    repository.jar.write_bytes(b"something else")
    with pytest.raises(JarUnavailableError, match=r"small-1\.0\.jar came with another content"):
        await jars.fetch([JAR], tmp_path / "jars", repository=repository.url, home=tmp_path)
    assert list((tmp_path / "jars").iterdir()) == []


async def test_a_repository_out_of_reach_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JarUnavailableError, match=r"127\.0\.0\.1:1.*SCRIP_MAVEN_REPOSITORY"):
        await jars.fetch([JAR], tmp_path / "jars", repository=NOWHERE, home=tmp_path)


@pytest.mark.parametrize(("brings", "accepted"), [(CONTENT, True), (b"something else", False)])
async def test_maven_is_asked_where_there_is_one_and_trusted_no_more(
    tmp_path: Path, without_maven: Path, brings: bytes, *, accepted: bool
) -> None:
    """A script stands for mvn, which not every machine has: it puts a jar where the command line says."""
    (tmp_path / "brought.jar").write_bytes(brings)
    maven = without_maven / "mvn"
    copy = shutil.which("cp", path="/bin:/usr/bin")
    maven.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        f'{copy} {tmp_path}/brought.jar "${{last#-DoutputDirectory=}}/{JAR.filename}"\n'
    )
    maven.chmod(0o700)
    fetching = jars.fetch([JAR], tmp_path / "jars", repository=NOWHERE, home=tmp_path)
    if accepted:
        await fetching
        assert await jars.missing([JAR], tmp_path / "jars") == []
    else:
        with pytest.raises(JarUnavailableError):
            await fetching


def test_the_lock_names_every_jar_once() -> None:
    pinned = jars.read_lock(LOCK)
    assert len({jar.filename for jar in pinned}) == len(pinned) == 46
    assert all(len(jar.sha256) == 64 for jar in pinned)
