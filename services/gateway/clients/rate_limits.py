"""Rate limits, counted in Redis for all processes together; without Redis most of them do not hold.

Those that guard passwords do: each process then counts for itself.
"""

import hashlib
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from libs.chassis.telemetry import log
from services.gateway.domain.rates import Rate, Verdict, judge

_REST_SECONDS = 1.0
_TIDY_SECONDS = 60.0

# One command, so that two processes never grant the same request twice; by the clock of Redis, which all share.
# ARGV: milliseconds until one more request is allowed, milliseconds of the window. The rule is `rates.judge`.
_SPEND = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local after = full_at + ARGV[1]
if after - now <= tonumber(ARGV[2]) then
    redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now))
end
return {string.format('%.3f', full_at), string.format('%.3f', now)}
"""


class RateLimits:
    """Judges requests. Redis is left alone for a second after it failed, so that its absence costs nobody time."""

    def __init__(self, redis: Redis) -> None:
        self._spend_in_redis = redis.register_script(_SPEND)
        self._rest_until = 0.0
        self._full_at: dict[str, float] = {}
        self._tidied = 0.0

    async def spend(self, rate: Rate, caller: str) -> Verdict:
        """Count a request of a caller and judge it."""
        key = f"scrip:rate:{rate.name}:{hashlib.sha256(caller.encode()).hexdigest()[:32]}"
        if time.monotonic() >= self._rest_until:
            try:
                full_at, now = await self._spend_in_redis(keys=[key], args=[rate.refill_ms, rate.window_ms])
                return judge(rate, full_at_ms=float(full_at), now_ms=float(now))[1]
            except (RedisError, OSError, TimeoutError) as error:
                self._rest_until = time.monotonic() + _REST_SECONDS
                log.warning("rate_limits.redis_away", error=repr(error))
        return self._spend_here(rate, key) if rate.holds_without_redis else _pass(rate)

    def _spend_here(self, rate: Rate, key: str) -> Verdict:
        now = time.monotonic() * 1000
        self._tidy(now)
        self._full_at[key], verdict = judge(rate, full_at_ms=self._full_at.get(key, 0.0), now_ms=now)
        return verdict

    def _tidy(self, now: float) -> None:
        """Forget who has his full quota again; nobody is kept for longer than a window and a minute."""
        if now - self._tidied > _TIDY_SECONDS * 1000:
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
            self._tidied = now


def _pass(rate: Rate) -> Verdict:
    return Verdict(rate, allowed=True, remaining=rate.quota, full_in_ms=0)
