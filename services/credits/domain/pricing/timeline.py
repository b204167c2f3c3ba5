"""Versions of the price book in time: a usage is priced by the one that was active when it happened."""

from collections.abc import Sequence
from datetime import datetime

from services.credits.domain.pricing.books import Prices


class Timeline:
    """Compiled versions, each active from an instant until that of the next."""

    def __init__(self, versions: Sequence[tuple[datetime, Prices]]) -> None:
        self._newest_first = sorted(versions, key=lambda version: version[0], reverse=True)

    def at(self, instant: datetime) -> Prices:
        """Give the version that is active then; before the first one, the first."""
        for active_from, prices in self._newest_first:
            if active_from <= instant:
                return prices
        return self._newest_first[-1][1]
