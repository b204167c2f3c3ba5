"""Segment files: append-only, one event's JSON a line, each named by the number of its first event."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..envelope import CloudEvent

LARGEST_READ = 512 * 1024
"""More than the largest event, so that what is read has a whole line."""
_SUFFIX = ".jsonl"


@dataclass(slots=True)
class Segment:
    """A file of events; `size` is how much of it is on disk for sure, and `last` the number of the last one therein."""

    path: Path
    first: int
    last: int
    size: int

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was written to it yet."""
        return self.size == 0

    @property
    def last_written_seconds(self) -> float:
        """When it was written to, in seconds since 1970."""
        return self.path.stat().st_mtime

    @property
    def began_seconds(self) -> float:
        """When its first event was, in seconds since 1970; that of its last writing if the event does not say."""
        first = next(iter(self.lines(0)), b"")
        try:
            time = CloudEvent.decode(first).time
        except ValueError:
            time = None
        return min(time.timestamp(), self.last_written_seconds) if time else self.last_written_seconds

    def lines(self, offset: int) -> list[bytes]:
        """Read the next whole lines from an offset, without their line feeds; none at the end, or if it was let go."""
        wanted = min(LARGEST_READ, self.size - offset)
        if wanted <= 0:
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                found = file.read(wanted)
        except FileNotFoundError:
            return []
        return found[: found.rfind(b"\n") + 1].split(b"\n")[:-1]


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two events: in which segment, at which byte, and the number of the event that follows."""

    segment: Segment
    offset: int
    number: int

    def after(self, lines: list[bytes]) -> "Place":
        """Tell the place behind some lines that were read here."""
        passed = sum(map(len, lines)) + len(lines)
        return Place(self.segment, self.offset + passed, self.number + len(lines))


def make(folder: Path, first: int) -> Segment:
    """Make an empty segment that is still there after a power cut. Raises OSError."""
    path = folder.joinpath(f"{first:020}{_SUFFIX}")
    path.touch(mode=0o600)
    sync_folder(folder)
    return Segment(path, first, first - 1, 0)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find(folder: Path) -> list[Segment]:
    """Find the segments in their order; of the last a line that was torn by a crash is cut off. Raises OSError."""
    paths = sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal())
    found = [Segment(path, int(path.stem), 0, path.stat().st_size) for path in paths]
    for segment, following in pairwise(found):
        segment.last = following.first - 1
    if found:
        _mend(found[-1])
    return found


def _mend(segment: Segment) -> None:
    lines = end = 0
    with segment.path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, end = lines + 1, end + len(line)
    if end < segment.size:
        os.truncate(segment.path, end)
    segment.size, segment.last = end, segment.first - 1 + lines


def place_of(segments: list[Segment], number: int) -> Place:
    """Find where an event is, or where it will be if it is the next one."""
    segment = next((each for each in reversed(segments) if each.first <= number), segments[0])
    place = Place(segment, 0, segment.first)
    while place.number < number and (lines := segment.lines(place.offset)):
        place = place.after(lines[: number - place.number])
    return place


def read_between(segments: list[Segment], first: int, last: int) -> Iterator[list[bytes]]:
    """Read events by their numbers, as many at a time as are read at once."""
    for segment in segments:
        place = place_of([segment], first)
        while place.number <= last and (lines := segment.lines(place.offset)):
            yield lines[: last - place.number + 1]
            place = place.after(lines)
