"""A gateway's address, and how what it answers is read."""

from typing import Any

import httpx2


def address_of(base_url: str) -> str:
    """Take a gateway's address, without a slash at its end. Raises ValueError."""
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"{base_url!r} is not the address of a gateway: those begin with http:// or https://")
    return base_url.rstrip("/")


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    """Read a problem document; who is not Scrip's gateway may have sent none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def retry_after(answer: httpx2.Response) -> float | None:
    """Read after how many seconds to ask again, if that is said."""
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else None
