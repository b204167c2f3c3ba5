"""Time comes through a clock that is passed in; one file moves it for every process of a stack.

The file holds an offset in seconds. Tests and demonstrations write it to travel; without it the clock is the machine's.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from libs.chassis.telemetry import log

_RECHECK_SECONDS = 0.1


class Clock:
    """Tells the time in UTC, moved by the offset file if there is one."""

    def __init__(self, offset_file: Path | None = None) -> None:
        self._file = offset_file
        self._checked = float("-inf")
        self._text = ""
        self._offset = timedelta()

    def now(self) -> datetime:
        """Tell the instant, with a time zone (UTC)."""
        return datetime.now(UTC) + self.offset()

    def offset(self) -> timedelta:
        """Tell how far this clock is from the machine's; the file is looked at ten times a second at most."""
        if self._file is None:
            return self._offset
        if (tick := time.monotonic()) - self._checked >= _RECHECK_SECONDS:
            self._checked = tick
            self._reread(self._file)
        return self._offset

    def _reread(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            self._text, self._offset = "", timedelta()
            return
        if text and text != self._text:  # empty is a file that somebody is just writing
            self._text, self._offset = text, _read(text, otherwise=self._offset)


def _read(text: str, *, otherwise: timedelta) -> timedelta:
    """Read an offset; what is none, or leads out of the calendar, leaves time as it was."""
    try:
        offset = timedelta(seconds=float(text))
        datetime.now(UTC) + offset
    except (ValueError, OverflowError):
        log.error("clock.offset_unreadable", text=text[:40])
        return otherwise
    return offset
