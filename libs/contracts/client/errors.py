"""What can go wrong when usage is reported, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..envelope import CloudEvent

_SHOWN = 3


class UsageClientError(Exception):
    """Every error of the client is one of these."""


class InvalidUsageError(UsageClientError, ValueError):
    """This can be no usage event; nothing was sent. The message says which part is wrong."""


class NotAcceptedError(UsageClientError):
    """The events were not accepted now; the client tries again by itself, after `retry_after` seconds if given."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SetUpError(NotAcceptedError):
    """No event will be accepted until the address or the API key is set right; the message says which.

    The client keeps what it holds and goes on trying, but takes no more.
    """


class SpoolError(UsageClientError):
    """The spool's disk does not do what it should; what this was raised for was not taken."""


class SpoolFullError(SpoolError):
    """No more usage is taken until some of what waits in the spool is accepted, or the spool may be larger."""


class SpoolInUseError(SpoolError):
    """Another client has the folder: a spool belongs to one at a time, so give each process a folder of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another client uses the spool {folder}; give each process a folder of its own")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that will never be accepted, and why."""

    event: CloudEvent
    reason: str


class UsageNotAcceptedError(UsageClientError):
    """Some usage was not accepted, and this is the last the client tells of it: `refusals` and `undelivered` have it.

    A refused event is wrong and has to be reported anew, mended. An undelivered one is right: report it again with the
    same id and source, and it is counted once, even if it had arrived after all.
    """

    def __init__(self, refusals: Sequence[Refusal], undelivered: Sequence[CloudEvent], *, why: object = None) -> None:
        self.refusals = tuple(refusals)
        self.undelivered = tuple(undelivered)
        super().__init__("; ".join([*self._refused(), *self._not_delivered(why)]))

    def _refused(self) -> list[str]:
        if not self.refusals:
            return []
        shown = [f"{refusal.event.id}: {refusal.reason}" for refusal in self.refusals[:_SHOWN]]
        return [f"{len(self.refusals)} usage events were refused ({_listed(shown, len(self.refusals))})"]

    def _not_delivered(self, why: object) -> list[str]:
        if not self.undelivered:
            return []
        shown = [event.id for event in self.undelivered[:_SHOWN]]
        because = f", because: {why}" if why else ""
        return [f"{len(self.undelivered)} were not delivered ({_listed(shown, len(self.undelivered))}){because}"]


def _listed(shown: Sequence[str], number: int) -> str:
    return ", ".join(shown) + (", ..." if number > len(shown) else "")
