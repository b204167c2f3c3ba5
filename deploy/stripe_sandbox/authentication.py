"""API keys: any test key opens the sandbox, a live key never does."""

import base64
import binascii
from dataclasses import dataclass

from deploy.stripe_sandbox.errors import NoKeyError


@dataclass(frozen=True)
class ApiKey:
    """What the caller showed, without the key itself."""

    publishable: bool


def authenticate(authorization: str | None) -> ApiKey:
    """Read the key of an Authorization header, Bearer or Basic; raises NoKeyError."""
    key = _key(authorization or "")
    if not key:
        raise NoKeyError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
        raise NoKeyError("A live key was sent to a sandbox. Live keys belong on Stripe's own servers only.")
    if not key.startswith(("sk_test_", "rk_test_", "pk_test_")):
        raise NoKeyError(f"Invalid API Key provided: {key[:3]}***")
    return ApiKey(publishable=shows_publishable_key(authorization))


def shows_publishable_key(authorization: str | None) -> bool:
    """Tell whether an Authorization header, Bearer or Basic, holds a key as browsers have it."""
    return _key(authorization or "").startswith("pk_")


def _key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
