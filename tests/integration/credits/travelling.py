"""Moving time, for the credits service and its tests."""

import asyncio
from datetime import timedelta
from pathlib import Path

from tests.support.ledger import Credits


class Travel:
    """Moves the clock of the service and of the test ahead: `await travel(minutes=5)`."""

    def __init__(self, file: Path, credits: Credits) -> None:
        self._file = file
        self._credits = credits
        self._offset = timedelta()

    async def __call__(self, **by: int) -> None:
        self._offset += timedelta(**by)
        self._file.write_text(str(self._offset.total_seconds()))
        while self._credits.clock.offset() != self._offset:  # noqa: ASYNC110 - the file is looked at now and then
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.12)  # and by the service's own clock as well, ten times a second
