"""Rate limits by GCRA, the generic cell rate algorithm: a quota that refills evenly, all of it may be spent at once.

All that is kept of a caller is one instant, at which he would have his full quota again; each request moves it on by
one refill. Source: ITU-T I.371, annex A (virtual scheduling). Headers: draft-ietf-httpapi-ratelimit-headers.
"""

import ipaddress
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests of a kind a caller may make in a window of time."""

    name: str
    quota: int
    window_ms: int = 60_000
    holds_without_redis: bool = False
    """Whether each process counts for itself while they cannot count together."""

    @property
    def refill_ms(self) -> float:
        """Tell after how many milliseconds one more request is allowed."""
        return self.window_ms / self.quota


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit says to a request; times in milliseconds."""

    rate: Rate
    allowed: bool
    remaining: int
    full_in_ms: float
    retry_in_ms: float = 0

    def headers(self) -> dict[str, str]:
        """Tell the caller where he stands."""
        headers = {
            "RateLimit-Policy": f'"{self.rate.name}";q={self.rate.quota};w={self.rate.window_ms // 1000}',
            "RateLimit": f'"{self.rate.name}";r={self.remaining};t={_seconds(self.full_in_ms)}',
        }
        return headers if self.allowed else headers | {"Retry-After": str(max(_seconds(self.retry_in_ms), 1))}


def judge(rate: Rate, *, full_at_ms: float, now_ms: float) -> tuple[float, Verdict]:
    """Judge a request of a caller whose quota is full again at an instant; gives the instant as it is afterwards."""
    full_at = max(full_at_ms, now_ms)
    after = full_at + rate.refill_ms
    room_ms = rate.window_ms - (after - now_ms)
    if room_ms < 0:
        return full_at, Verdict(rate, allowed=False, remaining=0, full_in_ms=full_at - now_ms, retry_in_ms=-room_ms)
    remaining = int(room_ms / rate.refill_ms)
    return after, Verdict(rate, allowed=True, remaining=remaining, full_in_ms=after - now_ms)


def neighbourhood(address: str) -> str:
    """Tell what counts as one client: an IPv4 address; of IPv6 the /64, since whoever has one address has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


def _seconds(millis: float) -> int:
    return math.ceil(millis / 1000)
