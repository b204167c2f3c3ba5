"""What carries reports to Scrip: Kafka or HTTP."""

from collections.abc import Sequence
from typing import Protocol

from .errors import Refusal
from .reports import Report


class Transport(Protocol):
    """Hands reports over, in order."""

    async def send(self, reports: Sequence[Report]) -> Sequence[Refusal]:
        """Hand a batch over; returns once all of it is accepted but for what is refused for good, which it returns.

        Raises NotAcceptedError if all of it is to be sent again; what had arrived is not counted twice.
        """

    async def close(self) -> None:
        """Close the connections."""
