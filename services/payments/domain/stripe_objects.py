"""What we read of Stripe's objects, as their JSON has it, in answers and in events alike (API 2026-10-28.endive)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.contracts import ids

Metadata = dict[str, str]


class StripeObject(BaseModel):
    """An object of Stripe's; we read the fields we use and leave the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    metadata: Metadata = Field(default_factory=dict)

    def ours(self, kind: str) -> UUID | None:
        """Tell the id of ours that the metadata carries under this name; None if there is none that can be read."""
        try:
            return ids.read(kind, self.metadata.get(kind, ""))
        except ValueError:
            return None


class PaymentError(BaseModel):
    """Why the last try to pay failed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str | None = None
    message: str | None = None
    charge: str | None = None
    payment_method: dict[str, Any] | None = None

    @property
    def attempt(self) -> str:
        """Name the attempt that failed: by its charge or, if there is none, by its payment method and the error."""
        method = (self.payment_method or {}).get("id", "none")
        return self.charge or f"{method}:{self.code}"

    @property
    def reason(self) -> str:
        """Say why in words that Stripe means for the buyer."""
        return self.message or self.code or "the payment failed"


class PaymentIntent(StripeObject):
    """A payment, from the intent to the money."""

    status: str
    amount: int
    amount_received: int = 0
    currency: str
    customer: str | None = None
    livemode: bool
    client_secret: str | None = None
    last_payment_error: PaymentError | None = None


class CheckoutSession(StripeObject):
    """A hosted payment page. Its payment intent appears once somebody has begun to pay."""

    status: str | None = None
    url: str | None = None
    livemode: bool
    payment_intent: PaymentIntent | str | None = None


class StripeRefund(StripeObject):
    """A refund, ours or one begun at Stripe's dashboard."""

    amount: int
    currency: str
    status: str
    reason: str | None = None
    failure_reason: str | None = None


class Charge(StripeObject):
    """A charge or a refund in an event: we only ask what it belongs to."""

    payment_intent: str | None = None


class StripeEvent(BaseModel):
    """An event. `account` is set when it comes from an account connected to ours, whose money is not ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    type: str
    livemode: bool
    account: str | None = None
    object: dict[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "StripeEvent":
        """Read an event's body. Raises ValueError (pydantic's) if it is none."""
        data = body.get("data")
        return cls.model_validate({**body, "object": data.get("object") if isinstance(data, Mapping) else None})
