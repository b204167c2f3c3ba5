"""What stands outside of the database: the file of the chain's heads, on another disk than the ledger's at best."""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from services.credits.domain.sealing import Head

_TAIL_BYTES = 4096


class HeadFile:
    """Heads of the chain, one JSON line each, only ever added to; a line is on disk before it counts as exported."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger-heads.jsonl"

    async def last(self) -> int:
        """Tell the number of the last head that was exported, 0 before the first."""
        return await asyncio.to_thread(self._last)

    async def add(self, heads: Sequence[Head]) -> None:
        """Export heads. Raises OSError if they may not be on disk."""
        await asyncio.to_thread(self._add, heads)

    def read(self) -> Iterator[Head]:
        """Read the heads that are there when it begins, line by line. Raises ValueError for a line that is none."""
        with self._path.open("rb") as file:
            size, seen = os.fstat(file.fileno()).st_size, 0
            for number, line in enumerate(file, 1):
                seen += len(line)
                if seen > size:
                    return
                try:
                    yield _head(line)
                except (ValueError, KeyError, TypeError) as error:
                    if line.endswith(b"\n"):
                        raise ValueError(f"{self._path}: line {number} is not a head of the chain") from error

    def _last(self) -> int:
        """Look at the end of the file; what is left of a line that was not written whole does not count."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
                *lines, _ = file.read().split(b"\n")
        except FileNotFoundError:
            return 0
        return _head(lines[-1]).number if lines else 0

    def _add(self, heads: Sequence[Head]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another worker may export at the same time
            _drop_torn_line(file.fileno())
            last = self._last()
            file.write(b"".join(_line(head) for head in heads if head.number > last))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self._path.parent)


def _line(head: Head) -> bytes:
    said = {
        "number": head.number,
        "hash": head.hash.hex(),
        "entries": head.entries,
        "sealed_at": head.sealed_at.isoformat(),
    }
    return json.dumps(said).encode() + b"\n"


def _head(line: bytes) -> Head:
    said = json.loads(line)
    return Head(
        int(said["number"]),
        bytes.fromhex(said["hash"]),
        int(said["entries"]),
        datetime.fromisoformat(said["sealed_at"]),
    )


def _drop_torn_line(file: int) -> None:
    """Cut off what a process that died left of its last line."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _TAIL_BYTES, max(size - _TAIL_BYTES, 0))
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn:
        os.ftruncate(file, size - torn)


def _sync_folder(folder: Path) -> None:
    """Have a file's name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
