"""Return addresses: where a buyer's browser may be sent after paying. An open redirect would be a gift to phishers."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from services.payments.domain.errors import ReturnAddressRefusedError

_DEFAULT_PORTS = {"https": 443, "http": 80}
_NEVER = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})
"""Schemes that run or read something in the browser itself."""


@dataclass(frozen=True, slots=True)
class ReturnAddresses:
    """The origins that are allowed, such as `https://shop.example`; `myapp://` allows a desktop app's own scheme.

    `loopback` allows any port of the buyer's own machine over plain HTTP, as native apps use it (RFC 8252, 7.3).
    """

    origins: frozenset[str]
    loopback: bool = False

    @classmethod
    def of(cls, origins: Iterable[str], *, loopback: bool) -> "ReturnAddresses":
        """Read a list of origins. Raises ValueError for one that is none."""
        return cls(frozenset(_origin(_parts(origin)) for origin in origins), loopback)

    def check(self, address: str | None) -> None:
        """Let an allowed address pass, and none at all. Raises ReturnAddressRefusedError."""
        if address is None:
            return
        try:
            parts = _parts(address)
        except ValueError as error:
            raise ReturnAddressRefusedError(str(error)) from error
        if not (self._lists(parts) or (self.loopback and _is_loopback(parts))):
            raise ReturnAddressRefusedError(origin=_origin(parts))

    def _lists(self, parts: SplitResult) -> bool:
        if parts.scheme in _DEFAULT_PORTS:
            return _origin(parts) in self.origins
        return f"{parts.scheme}://" in self.origins or _origin(parts) in self.origins


def _parts(address: str) -> SplitResult:
    """Split an address, refusing what browsers and we might read differently."""
    if not address.isascii() or not address.isprintable() or set(address) & set(' \\<>"'):
        raise ValueError("an address is written in plain ASCII without spaces, backslashes or quotes")
    parts = urlsplit(address)
    if parts.scheme in _NEVER or "://" not in address:
        raise ValueError("an address begins with https:// or an app's own scheme")
    if "@" in parts.netloc or (parts.scheme in _DEFAULT_PORTS and not parts.hostname):
        raise ValueError("an address names a host, and no user")
    _ = parts.port  # raises ValueError for a port that is none
    return parts


def _origin(parts: SplitResult) -> str:
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _is_loopback(parts: SplitResult) -> bool:
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"
