"""The sandbox's time: the machine's, moved by an offset that a file may hold."""

import time
from pathlib import Path

REREAD_EVERY_S = 0.1


class Clock:
    """Real time plus the seconds in an offset file, so that a stack under test moves in time together.

    The file holds an integer or a decimal; it is read again when its modification time changes, which is
    looked at most every 100 ms. No file means no offset.
    """

    def __init__(self, offset_file: Path | None) -> None:
        self._file = offset_file
        self._offset_s = 0.0
        self._modified_ns = -1
        self._look_again_at = 0.0

    def time(self) -> float:
        """Give the seconds since 1970, with their fraction."""
        self._follow_the_file()
        return time.time() + self._offset_s

    def now(self) -> int:
        """Give the whole seconds since 1970, as Stripe writes instants."""
        return int(self.time())

    def _follow_the_file(self) -> None:
        if self._file is None or time.monotonic() < self._look_again_at:
            return
        self._look_again_at = time.monotonic() + REREAD_EVERY_S
        try:
            modified_ns = self._file.stat().st_mtime_ns
            if modified_ns != self._modified_ns:
                self._offset_s = float(self._file.read_text())
                self._modified_ns = modified_ns
        except FileNotFoundError:
            self._offset_s, self._modified_ns = 0.0, -1
        except ValueError:
            return  # caught between truncation and writing: the next look sees the whole number
