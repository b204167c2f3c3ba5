"""When a try that failed is repeated."""

from datetime import datetime, timedelta

RETRY_AFTER = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 30, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
)
"""The pauses between tries: a hiccup costs a second, a mail server that is away for three days costs no mail."""


def next_try(attempts: int, *, at: datetime) -> datetime | None:
    """Tell when to try again after so many tries; None when they have been enough."""
    return at + RETRY_AFTER[attempts - 1] if attempts <= len(RETRY_AFTER) else None
