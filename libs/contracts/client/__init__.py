"""The usage client: how a service tells Scrip what its customers used.

    async with UsageClient.kafka("kafka:9092", source="/video/renderer") as client:
        await client.usage("acc_018f...", "video.generation", 3, {"resolution": "720p"})

Install it as `scrip-contracts[client]`. It is asynchronous, sends in batches in the background, and tries again until
the broker or the gateway has accepted an event: at least once. Scrip counts an event once by its source and id.
"""

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
from .usage import UsageClient

__all__ = [
    "InvalidUsageError",
    "NotAcceptedError",
    "Refusal",
    "SetUpError",
    "SpoolError",
    "SpoolFullError",
    "SpoolInUseError",
    "UsageClient",
    "UsageClientError",
    "UsageNotAcceptedError",
]
