"""Where reports wait until they are accepted: in memory, or in a spool on disk."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from .reports import Report


class Buffer(Protocol):
    """Keeps reports in their order, and counts them: `taken` so far, of which `settled` need not be sent any more."""

    @property
    def taken(self) -> int:
        """How many reports it ever took."""

    @property
    def settled(self) -> int:
        """How many of them are accepted or refused."""

    async def open(self) -> None:
        """Begin; what waits from before is counted."""

    async def close(self) -> None:
        """Let go."""

    def has_room(self) -> bool:
        """Tell whether one more may be put now."""

    def put(self, report: Report) -> Awaitable[None] | None:
        """Take a report; what is returned ends when it is kept, None if it is already."""

    def first(self, most: int, most_bytes: int) -> Sequence[Report]:
        """Show what has waited longest: so many reports or bytes at most, but one at least."""

    def settle(self, reports: Sequence[Report]) -> None:
        """Count these as settled, which `first` had shown."""
