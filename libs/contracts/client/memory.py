"""The memory: reports that wait in the process alone, and only so many."""

from collections import deque
from collections.abc import Awaitable, Sequence
from itertools import islice

from .reports import Report


class Memory:
    """Reports in memory."""

    def __init__(self, largest: int) -> None:
        self.taken = self.settled = 0
        self._largest = largest
        self._waiting: deque[Report] = deque()

    async def open(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to end: what waits is there as long as this is."""

    def has_room(self) -> bool:
        """Tell whether one more may be put."""
        return len(self._waiting) < self._largest

    def put(self, report: Report) -> Awaitable[None] | None:
        """Take a report; there is nothing to wait for."""
        self._waiting.append(report)
        self.taken += 1
        return None

    def first(self, most: int, most_bytes: int) -> Sequence[Report]:
        """Show what has waited longest."""
        found, size = list[Report](), 0
        for report in islice(self._waiting, most):
            size += len(report.payload)
            if found and size > most_bytes:
                break
            found.append(report)
        return found

    def settle(self, reports: Sequence[Report]) -> None:
        """Forget these, which `first` had shown."""
        for _ in reports:
            self._waiting.popleft()
        self.settled += len(reports)
