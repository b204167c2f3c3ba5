"""Every error code, its HTTP status and its meaning, in one place; problem documents by RFC 9457.

A service's own error class names one of these codes; its docstring is the message people read.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

PROBLEM_TYPE = "https://scrip.dev/problems/"
"""What a problem's `type` begins with; the code follows."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A stable code that callers may branch on."""

    code: str
    status: int
    title: str


INSUFFICIENT_CREDITS = ErrorCode("PAY001", 402, "Insufficient credits")
PAYMENT_FAILED = ErrorCode("PAY002", 402, "Payment failed")
INVALID_PROMO_CODE = ErrorCode("PAY003", 422, "Invalid promo code")
SUBSCRIPTION_ALREADY_ACTIVE = ErrorCode("PAY004", 409, "Subscription already active")
WEBHOOK_SIGNATURE_INVALID = ErrorCode("PAY005", 400, "Webhook signature invalid")
CREDIT_LIMIT_EXCEEDED = ErrorCode("PAY006", 422, "Credit limit exceeded")
INVALID_REQUEST = ErrorCode("PAY007", 422, "Invalid request")
IDEMPOTENCY_KEY_MISSING = ErrorCode("PAY008", 400, "Idempotency key missing")
IDEMPOTENCY_KEY_REUSED = ErrorCode("PAY009", 422, "Idempotency key reused for another request")
NOT_FOUND = ErrorCode("PAY010", 404, "Not found")
NOT_AUTHENTICATED = ErrorCode("PAY011", 401, "Not authenticated")
NOT_ALLOWED = ErrorCode("PAY012", 403, "Not allowed")
TOO_MANY_REQUESTS = ErrorCode("PAY013", 429, "Too many requests")
UNAVAILABLE = ErrorCode("PAY014", 503, "Temporarily unavailable")
INTERNAL_ERROR = ErrorCode("PAY015", 500, "Internal error")
ALREADY_REGISTERED = ErrorCode("PAY016", 409, "Already registered")
UNKNOWN_PACK = ErrorCode("PAY017", 422, "Unknown pack")
PURCHASE_STATE = ErrorCode("PAY018", 409, "Not possible in the purchase's state")
REFUND_TOO_LARGE = ErrorCode("PAY019", 422, "Refund exceeds what is left of the payment")
RETURN_ADDRESS_REFUSED = ErrorCode("PAY020", 422, "Return address not allowed")
UNKNOWN_METER = ErrorCode("PAY021", 422, "Unknown meter")
UNRATABLE_USAGE = ErrorCode("PAY022", 422, "Usage cannot be rated")
ACCOUNT_NOT_OPEN = ErrorCode("PAY023", 409, "Account not open")
EVENT_ID_REUSED = ErrorCode("PAY024", 409, "Event id reused for another event")
PAYLOAD_TOO_LARGE = ErrorCode("PAY025", 413, "Payload too large")
METHOD_NOT_ALLOWED = ErrorCode("PAY026", 405, "Method not allowed")
PAYMENT_MISMATCH = ErrorCode("PAY027", 409, "Payment differs from the purchase")
UNKNOWN_ACCOUNT = ErrorCode("PAY028", 404, "Unknown account")
MALFORMED_EVENT = ErrorCode("PAY029", 422, "Malformed event")
CURRENCY_NOT_OFFERED = ErrorCode("PAY030", 422, "Currency not offered")
MALFORMED_WEBHOOK = ErrorCode("PAY031", 400, "Webhook is not an event")
REFUND_REFUSED = ErrorCode("PAY032", 409, "Refund refused")

CODES: dict[str, ErrorCode] = {value.code: value for value in list(globals().values()) if isinstance(value, ErrorCode)}
"""Every code by its name."""


class Problem(BaseModel):
    """A problem document (RFC 9457) as every service answers it, `application/problem+json`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[dict[str, Any]] | None = None
