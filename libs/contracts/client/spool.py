"""The spool: events on disk before `usage` returns, sent from there, and kept for a while once they are accepted.

Its folder has segment files; `settled`, the number of the last event that is accepted or refused, rewritten in place;
and `lock`, which one process holds. Events are written and synced in groups: who comes while one is being written is in
the next. `settled` is not synced: what a power cut takes of it is sent again, and counted once.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from . import segments
from .errors import SpoolError, SpoolFullError, SpoolInUseError
from .reports import Report, read_report
from .segments import Place, Segment

KEPT_SECONDS = 7 * 24 * 60 * 60.0
LARGEST_SPOOL = 1024**3
_LARGEST_SEGMENT = 16 * 1024**2
_LONGEST_SEGMENT_SECONDS = 60 * 60.0
_CLOCK_SECONDS = 1.0  # a file system's clock is behind by some milliseconds, or by what its precision is
_CLOSED = -1

log = logging.getLogger(__name__)


class Spool:
    """Reports in a folder. `changed` is told when more of them are on disk."""

    def __init__(self, folder: Path, *, changed: asyncio.Condition, largest_bytes: int = LARGEST_SPOOL) -> None:
        self.folder = folder
        self.taken = self.settled = 0
        self._changed = changed
        self._largest = largest_bytes
        self._largest_segment = min(_LARGEST_SEGMENT, largest_bytes // 4)
        self._lock = self._settled_file = self._file = _CLOSED
        self._segments: list[Segment] = []
        self._began_seconds = 0.0
        self._bytes = self._inherited = 0
        self._broken = False
        self._queue: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lock the folder and find what waits in it. Raises SpoolInUseError, SpoolError."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            await self.close()
            raise SpoolError(f"the spool {self.folder} cannot be opened: {error}") from error

    async def close(self) -> None:
        """Let what is being written be written, and let the folder go."""
        if self._writing is not None:
            await self._writing
        for handle in (self._file, self._settled_file, self._lock):
            if handle != _CLOSED:
                os.close(handle)
        self._lock = self._settled_file = self._file = _CLOSED

    def has_room(self) -> bool:
        """Say yes: nobody waits for room on a disk; `put` raises instead."""
        return True

    def put(self, report: Report) -> Awaitable[None]:
        """Take a report, and return what ends when it is on disk. Raises SpoolFullError; awaiting it SpoolError too."""
        line = report.payload + b"\n"
        if self._broken:
            raise SpoolError(f"the disk of the spool {self.folder} failed; open the client anew once it works")
        self._make_room(len(line))
        written = asyncio.get_running_loop().create_future()
        self._queue.append((line, written))
        self._bytes += len(line)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_on(), name="scrip-spool")
        return written

    def first(self, most: int, most_bytes: int) -> Sequence[Report]:
        """Read what has waited longest."""
        found, size = list[Report](), 0
        for line in self._next_lines()[:most]:
            size += len(line)
            report = read_report(line, checked=self._place.number + len(found) <= self._inherited)
            if report is None or (found and size > most_bytes):
                break
            found.append(report)
        return found

    def settle(self, reports: Sequence[Report]) -> None:
        """Note that these, which `first` had read, need not be sent any more."""
        self._pass([report.payload for report in reports])

    def accepted_since(self, since: datetime) -> Iterator[list[Report]]:
        """Read again what has been settled, of all files that were written to since an instant."""
        last, at = self.settled, since.timestamp() - _CLOCK_SECONDS
        recent = [each for each in self._segments if each.first <= last and each.last_written_seconds >= at]
        for lines in segments.read_between(recent, 1, last):
            yield [report for line in lines if (report := read_report(line, checked=True))]

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        segments.sync_folder(self.folder.parent)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = _CLOSED
            raise SpoolInUseError(self.folder) from None
        self._settled_file = os.open(self.folder / "settled", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.settled = self._read_settled()
        self._segments = segments.find(self.folder)
        self.taken = self._inherited = max(self.settled, self._segments[-1].last if self._segments else 0)
        if not self._segments or self._segments[-1].last < self.taken:
            self._segments.append(segments.make(self.folder, self.taken + 1))
        self._bytes = sum(segment.size for segment in self._segments)
        self._append_to(self._segments[-1])
        self._place = segments.place_of(self._segments, self.settled + 1)
        self.settled = self._place.number - 1
        self._forget_old()

    def _read_settled(self) -> int:
        written = os.pread(self._settled_file, 32, 0).strip()
        if written and not written.isdigit():
            log.error("%s/settled cannot be read: all that is kept is sent again", self.folder)
            return 0
        return int(written or 0)

    def _append_to(self, segment: Segment) -> None:
        before, self._file = self._file, os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if before != _CLOSED:
            os.close(before)
        self._began_seconds = segment.began_seconds

    def _make_room(self, wanted: int) -> None:
        """Let go of what was accepted, before its time, if there is no room else. Raises SpoolFullError."""
        while self._bytes + wanted > self._largest:
            if not self._is_over(self._segments[0]):
                raise SpoolFullError(
                    f"{self.taken - self.settled} usage events wait in {self.folder}, which may take no more than "
                    f"{self._largest} bytes"
                )
            self._forget(self._segments[0])

    def _is_over(self, segment: Segment) -> bool:
        return segment is not self._segments[-1] and segment is not self._place.segment and segment.last <= self.settled

    def _forget_old(self) -> None:
        limit = time.time() - KEPT_SECONDS
        while self._is_over(self._segments[0]) and self._segments[0].last_written_seconds < limit:
            self._forget(self._segments[0])

    def _forget(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._bytes -= segment.size
        segment.path.unlink(missing_ok=True)

    async def _write_on(self) -> None:
        """Write group after group, until nobody waits."""
        while self._queue:
            group = self._next_group()
            lines = b"".join(line for line, _ in group)
            try:
                if self._is_due(self._segments[-1]):
                    await asyncio.to_thread(self._begin_segment)
                    self._forget_old()
                await asyncio.to_thread(self._write, lines, len(group))
            except OSError as error:
                self._bytes -= len(lines)
                failed = SpoolError(f"{len(group)} usage events could not be written to {self.folder}: {error}")
                _tell([written for _, written in group], failed)
            else:
                _tell([written for _, written in group], None)
            async with self._changed:
                self._changed.notify_all()

    def _next_group(self) -> list[tuple[bytes, asyncio.Future[None]]]:
        """Take what waits to be written, but no more than a segment's worth, so that files can be let go by turns."""
        number = size = 0
        for line, _ in self._queue:
            size += len(line)
            if number and size > self._largest_segment:
                break
            number += 1
        group, self._queue = self._queue[:number], self._queue[number:]
        return group

    def _is_due(self, segment: Segment) -> bool:
        too_old = time.time() - self._began_seconds > _LONGEST_SEGMENT_SECONDS
        return not segment.is_empty and (too_old or segment.size >= self._largest_segment)

    def _begin_segment(self) -> None:
        segment = segments.make(self.folder, self.taken + 1)
        self._append_to(segment)
        self._segments.append(segment)

    def _write(self, lines: bytes, number: int) -> None:
        """Write and sync a group, or leave the file as it was."""
        segment = self._segments[-1]
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            self._broken = True
            os.ftruncate(self._file, segment.size)
            self._broken = False
            raise
        segment.size += len(lines)
        segment.last += number
        self.taken += number

    def _next_lines(self) -> list[bytes]:
        """Read on, into the next segment where one ends; a line that is no event (a damaged disk) is passed over."""
        while self.settled < self.taken:
            lines = self._place.segment.lines(self._place.offset)
            if lines and read_report(lines[0], checked=self._place.number <= self._inherited):
                return lines
            if lines:
                log.error("event %d of the spool %s cannot be read", self._place.number, self.folder)
                self._pass(lines[:1])
                continue
            following = next((each for each in self._segments if each.first > self._place.segment.first), None)
            if following is None:
                break
            self._place = Place(following, 0, following.first)
        return []

    def _pass(self, lines: list[bytes]) -> None:
        self._place = self._place.after(lines)
        self.settled = self._place.number - 1
        try:
            os.pwrite(self._settled_file, b"%020d\n" % self.settled, 0)
        except OSError as error:
            log.warning(
                "what is accepted is not noted in %s, so the next client sends it again: %s", self.folder, error
            )


def _tell(waiting: Sequence[asyncio.Future[None]], failed: SpoolError | None) -> None:
    for written in waiting:
        if written.done():  # who waited for it was cancelled
            continue
        if failed is None:
            written.set_result(None)
        else:
            written.set_exception(failed)
