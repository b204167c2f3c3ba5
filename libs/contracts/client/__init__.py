"""What a service of another team does with Scrip: it tells what its customers used, and spends their credits.

    async with UsageClient.kafka("kafka:9092", source="/video/renderer", spool=Path("/var/lib/renderer")) as usage:
        await usage.usage("acc_018f...", "video.generation", 3, {"resolution": "720p"})

    async with CreditsClient("https://billing.example.com", api_key) as credits:
        async with credits.hold("acc_018f...", meter="video.generation", quantity=3) as hold:
            await hold.capture("12.5")
        async with credits.lease("acc_018f...", meter="agent.seconds", reserve="5") as lease:
            lease.use(12)

Install it as `scrip-contracts[client]`. Usage is sent in the background, at least once; Scrip counts an event once by
its source and id. What is spent is asked for until there is an answer, and done once by its idempotency key.
"""

from ..events.usage_v1 import UsageCost
from .credits import CreditsClient
from .errors import (
    InvalidUsageError,
    NotAcceptedError,
    Refusal,
    SetUpError,
    SpoolError,
    SpoolFullError,
    SpoolInUseError,
    UsageClientError,
    UsageNotAcceptedError,
)
from .refusals import (
    AccountNotOpenError,
    CaptureTooLargeError,
    CreditLimitExceededError,
    CreditsClientError,
    CreditsUnavailableError,
    HoldExpiredError,
    HoldSettledError,
    InsufficientCreditsError,
    InvalidOrderError,
    NotAuthorizedError,
    RefusedError,
)
from .usage import UsageClient

__all__ = [
    "AccountNotOpenError",
    "CaptureTooLargeError",
    "CreditLimitExceededError",
    "CreditsClient",
    "CreditsClientError",
    "CreditsUnavailableError",
    "HoldExpiredError",
    "HoldSettledError",
    "InsufficientCreditsError",
    "InvalidOrderError",
    "InvalidUsageError",
    "NotAcceptedError",
    "NotAuthorizedError",
    "Refusal",
    "RefusedError",
    "SetUpError",
    "SpoolError",
    "SpoolFullError",
    "SpoolInUseError",
    "UsageClient",
    "UsageClientError",
    "UsageCost",
    "UsageNotAcceptedError",
]
