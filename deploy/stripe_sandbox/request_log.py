"""What was asked and what was answered, so that both can be held against Stripe's own description."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.stripe_sandbox.errors import Object


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it; `status` is None where the connection was broken on purpose."""

    number: int
    request_id: str
    at: float
    method: str
    path: str
    query: str
    body: str
    idempotency_key: str | None
    stripe_version: str | None
    publishable: bool
    status: int | None
    answer: Object | None
    replayed: bool
    fault: str | None
    took_ms: float


class RequestLog:
    """The last requests, with no key and no card number in them."""

    def __init__(self, kept: int) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=kept)
        self._count = 0

    def next_number(self) -> int:
        """Give the number of the next request; the first is 1."""
        self._count += 1
        return self._count

    def note(self, exchange: Exchange) -> None:
        """Remember an exchange, and forget the oldest if there are too many."""
        self._exchanges.append(exchange)

    def after(self, number: int) -> Iterator[Exchange]:
        """Give the remembered exchanges with a higher number, in the order in which they were answered."""
        return (exchange for exchange in self._exchanges if exchange.number > number)

    def find(self, request_id: str) -> Exchange | None:
        """Give one exchange by its request id."""
        return next((exchange for exchange in self._exchanges if exchange.request_id == request_id), None)


def without_card_numbers(body: str) -> str:
    """Hide all but the last four digits of what could be a card number in the `number` fields of a form."""
    return re.sub(
        r"((?:\[|%5B)number(?:\]|%5D)=)(\d+)",
        lambda match: match[1] + "*" * 12 + match[2][-4:],
        body,
        flags=re.IGNORECASE,
    )
