"""The connections to Redis. What is in there may be lost at any time: it only makes things slower."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_PATIENCE_SECONDS = 0.5


def connect(url: str) -> Redis:
    """Make a pool of connections, each opened on first need.

    An answer is awaited for half a second, and once: nobody waits for what can be lost.
    """
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_PATIENCE_SECONDS,
        socket_connect_timeout=_PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), retries=0),
    )
