"""Making something at Stripe once: under a key of ours while Stripe remembers it, and never anew afterwards."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from services.payments.clients.stripe import StripeOutcomeUnknownError

T = TypeVar("T")

KEY_LIFE = timedelta(hours=23)
"""For how long a key is used again; Stripe keeps keys for at least 24 hours."""

GIVEN_UP_AFTER = timedelta(hours=24)
"""From when on what Stripe does not list will never be. The hour between is for calls that were still on their way."""


async def make_while_remembered(make: Callable[[], Awaitable[T]], *, age: timedelta) -> T | None:
    """Make what Stripe does not list, so long after it was intended; None if it never will be.

    Raises StripeOutcomeUnknownError while a call of ours may still be on its way.
    """
    if age >= GIVEN_UP_AFTER:
        return None
    if age >= KEY_LIFE:
        raise StripeOutcomeUnknownError
    return await make()
