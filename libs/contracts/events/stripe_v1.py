"""Verified webhooks of Stripe, as the gateway hands them on."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from ..topics import STRIPE_EVENTS, Topic
from .base import Event


class StripeEventReceived(Event):
    """Stripe sent this event and its signature was right; `body` is what was signed, parsed."""

    type: ClassVar[str] = "scrip.stripe.event_received.v1"
    topic: ClassVar[Topic] = STRIPE_EVENTS
    source: ClassVar[str] = "/scrip/gateway"

    object_id: Annotated[str, Field(max_length=255)]
    """The Stripe customer or, failing that, payment or object that the event is about; also the key."""
    body: dict[str, Any]
    """Stripe's event, whole."""

    def key(self) -> str:
        """Tell the Stripe customer or object the event is about."""
        return self.object_id
