"""What happened, and who hears of it."""

from typing import Any

from deploy.stripe_sandbox.errors import Object


def event(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape an event."""
    return {
        "id": name,
        "object": "event",
        "api_version": None,
        "created": created,
        "data": {"object": {}},
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": "",
        **given,
    }


def webhook_endpoint(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a webhook endpoint."""
    return {
        "id": name,
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": ["*"],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": "",
        **given,
    }
