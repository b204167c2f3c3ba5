"""How long to wait between tries."""

import random
from collections.abc import Iterator

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0


def pauses() -> Iterator[float]:
    """Tell each pause: twice as long each time, up to a bound, and never all clients at once."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
