"""Live balances: a worker announces changes to Redis, and each API process hears of those that its streams watch.

Redis hands on and keeps nothing of worth. Whenever it confirms a subscription, the first one as after any trouble,
changes may have gone by: the streams are told to ask credits, and so Redis can be late but never wrong.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from libs.chassis.errors import UnavailableError
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.http.gateway_v1 import LiveBalance

_AWAY = (RedisError, OSError, TimeoutError)
_HOME = "scrip:balance:home"
_RETRY_SECONDS = 0.5
_TIDY_SECONDS = 5.0
_DEAD_AFTER_SECONDS = 12.0
_REMEMBERED = "86400"
_KEPT = 100

# Hands a balance on unless a newer one went before it. ARGV: sequence, balance, seconds to remember, channel.
_ANNOUNCE = """
local known = redis.call('GET', KEYS[1])
if known and tonumber(known) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
"""


class Announcer:
    """Tells all processes of changed balances."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._announce = redis.register_script(_ANNOUNCE)

    async def announce(self, balances: Iterable[LiveBalance]) -> int:
        """Hand balances on; what is older than what went before is dropped. Returns how many were news.

        Raises UnavailableError while Redis is away.
        """
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for balance in balances:
                    account = ids.show("account", balance.account)
                    await self._announce(
                        keys=[f"scrip:balance-sequence:{account}"],
                        args=[str(balance.sequence), balance.model_dump_json(), _REMEMBERED, _channel(account)],
                        client=pipe,
                    )
                return sum(await pipe.execute())
        except _AWAY as error:
            raise UnavailableError("Redis does not answer") from error


class Watcher:
    """What one stream has still to tell; a slow one loses the oldest, which newer balances replace anyway."""

    def __init__(self) -> None:
        self._changes: deque[LiveBalance] = deque(maxlen=_KEPT)
        self._news = asyncio.Event()
        self.missed = False
        """Whether changes may have gone by unheard, so that credits must be asked."""
        self.ended = False
        """Whether the process stops."""

    def tell(self, change: LiveBalance) -> None:
        """Add a change."""
        self._changes.append(change)
        self._news.set()

    def miss(self) -> None:
        """Say that changes may have been missed."""
        self.missed = True
        self._news.set()

    def end(self) -> None:
        """Say that there will be no more."""
        self.ended = True
        self._news.set()

    async def changes(self, *, seconds: float) -> list[LiveBalance]:
        """Wait for news, for so long at most; gives the changes not taken yet, in order."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        taken = list(self._changes)
        self._changes.clear()
        return taken


class LiveBalances:
    """The one subscription of a process, fanned out to its streams."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._watchers: dict[str, set[Watcher]] = {}
        self._subscribing = asyncio.Lock()
        self._open: PubSub | None = None
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; Redis may be away for now."""
        self._loop = asyncio.create_task(self._keep_listening(), name="live-balances")

    async def stop(self) -> None:
        """End all streams, and stop listening."""
        self._stopping = True  # the word that counts: asyncio.wait_for, in redis-py, may swallow a cancellation (3.11)
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop

    @asynccontextmanager
    async def watch(self, account: UUID) -> AsyncIterator[Watcher]:
        """Hear of an account's changes. The watcher is told of a miss once Redis has confirmed the subscription."""
        channel, watcher = _channel(ids.show("account", account)), Watcher()
        self._watchers.setdefault(channel, set()).add(watcher)
        try:
            await self._settle(channel)
            yield watcher
        finally:  # no call to Redis here, where we may be cancelled: tidying unsubscribes
            self._watchers[channel].discard(watcher)
            if not self._watchers[channel]:
                del self._watchers[channel]

    async def _settle(self, channel: str) -> None:
        """Subscribe to a channel that somebody watches, and to no other."""
        async with self._subscribing:
            if self._open is None:
                return
            # Listening notices, and begins anew. A connection lost between redis-py's check and its write (8.1) is an
            # AttributeError.
            with suppress(*_AWAY, AttributeError):
                if channel in self._watchers:
                    await self._open.subscribe(channel)
                else:
                    await self._open.unsubscribe(channel)

    async def _keep_listening(self) -> None:
        while not self._stopping:
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._listen(pubsub)
            except _AWAY as error:
                log.warning("live_balances.redis_away", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                log.exception("live_balances.failed")
                await asyncio.sleep(_RETRY_SECONDS)
            finally:
                self._open = None

    async def _listen(self, pubsub: PubSub) -> None:
        """Hear until we stop, or until the connection fails: RedisError or TimeoutError then."""
        async with self._subscribing:
            await pubsub.subscribe(_HOME, *self._watchers)
            self._open = pubsub
        heard = tidied = time.monotonic()
        while not self._stopping:
            message = await pubsub.get_message(timeout=1.0)
            now = time.monotonic()
            if message is not None:
                heard = now
                self._hear(message)
            if now - heard > _DEAD_AFTER_SECONDS:
                raise TimeoutError("Redis does not answer our pings")
            if now - tidied > _TIDY_SECONDS:
                tidied = now
                await self._tidy(pubsub)

    def _hear(self, message: dict[str, str]) -> None:
        watchers = self._watchers.get(message["channel"], ())
        if message["type"] == "message":
            change = LiveBalance.model_validate_json(message["data"])
            for watcher in watchers:
                watcher.tell(change)
        elif message["type"] == "subscribe":
            for watcher in watchers:
                watcher.miss()

    async def _tidy(self, pubsub: PubSub) -> None:
        """See whether Redis still answers, and leave the channels that nobody watches any more."""
        await pubsub.ping()
        for channel in set(pubsub.channels) - self._watchers.keys() - {_HOME}:
            await self._settle(channel)


def _channel(account: str) -> str:
    return f"scrip:balance:{account}"
