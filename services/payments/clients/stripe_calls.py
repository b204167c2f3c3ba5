"""How Stripe is called: in bounded time, under a key of ours, and what its errors mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe
from stripe import RequestOptions

from libs.chassis.errors import DomainError, UnavailableError
from libs.chassis.pool import outside_transactions
from libs.chassis.service_client import deadline
from libs.chassis.telemetry import STRIPE_CALLS, log
from libs.contracts import errors as codes

LONGEST_SECONDS = 25.0
"""How long a call takes at most, its retries included; Stripe's client starts its own timeout anew with every byte."""


class StripeRefusedError(DomainError):
    """Stripe refused this, and has done nothing."""

    code = codes.PAYMENT_FAILED


class StripeUnavailableError(UnavailableError):
    """Stripe does not answer now, and has done nothing; the same request may be tried again."""


class StripeOutcomeUnknownError(UnavailableError):
    """Stripe has not said whether it did what we asked; the same request, with the same key, may be tried again."""


class StripeMisusedError(Exception):
    """Stripe cannot read our request, or does not know our key: a mistake of ours, or of who set the key."""


@asynccontextmanager
async def call(operation: str, *, changes: bool) -> AsyncIterator[None]:
    """Call in the time there is, and sort what goes wrong. `changes`: a lost answer leaves us in doubt."""
    outside_transactions()
    latest = asyncio.get_running_loop().time() + LONGEST_SECONDS
    try:
        async with asyncio.timeout_at(min(deadline.get() or latest, latest)):
            yield
    except (stripe.StripeError, TimeoutError) as error:
        outcome, meaning = _sorted(error, changes=changes)
        STRIPE_CALLS.labels(operation, outcome).inc()
        log.warning(
            "stripe.call_failed",
            operation=operation,
            outcome=outcome,
            code=getattr(error, "code", None),
            status=getattr(error, "http_status", None),
            stripe_request=getattr(error, "request_id", None),
        )
        raise meaning from error
    STRIPE_CALLS.labels(operation, "done").inc()


def _sorted(error: stripe.StripeError | TimeoutError, *, changes: bool) -> tuple[str, Exception]:
    """Tell what an error means: refused for good, in doubt, not done for now, or a mistake of ours."""
    if isinstance(error, stripe.CardError):
        return "declined", StripeRefusedError(error.user_message, reason=error.code)
    if isinstance(error, stripe.InvalidRequestError) and not (error.code or "").startswith("parameter_"):
        return "refused", StripeRefusedError(reason=error.code)
    if isinstance(error, stripe.RateLimitError):
        return "slowed", StripeUnavailableError()
    if isinstance(error, TimeoutError | stripe.APIConnectionError | stripe.APIError):
        return ("unknown", StripeOutcomeUnknownError()) if changes else ("unavailable", StripeUnavailableError())
    return "misused", StripeMisusedError(str(error))


def once(key: str) -> RequestOptions:
    """Have a repeated step be the same step."""
    return {"idempotency_key": key}
