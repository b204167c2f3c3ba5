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
    meaning: str
    """What has happened, and what to do about it."""


INSUFFICIENT_CREDITS = ErrorCode(
    "PAY001",
    402,
    "Insufficient credits",
    "The account's available credits do not cover this, or it is in debt. Nothing was burnt. `required` and "
    "`available` say what lacks, `buy` where more can be had.",
)
PAYMENT_FAILED = ErrorCode(
    "PAY002",
    402,
    "Payment failed",
    "The payment was declined, or Stripe refused it. No money moved and nothing was credited.",
)
INVALID_PROMO_CODE = ErrorCode(
    "PAY003",
    422,
    "Invalid promo code",
    "No promo code, voucher or gift card with this code can be used here, and why is not told. Nothing was redeemed. "
    "Only of a promo code that the account may use otherwise `reason` says why it is not for this order: `product`, "
    "`currency` or `minimum_purchase`.",
)
SUBSCRIPTION_ALREADY_ACTIVE = ErrorCode(
    "PAY004", 409, "Subscription already active", "Reserved for subscriptions, which are not sold yet."
)
WEBHOOK_SIGNATURE_INVALID = ErrorCode(
    "PAY005",
    400,
    "Webhook signature invalid",
    "The webhook's signature is missing, wrong, or more than five minutes from now. Nothing was stored.",
)
CREDIT_LIMIT_EXCEEDED = ErrorCode(
    "PAY006",
    422,
    "Credit limit exceeded",
    "Beyond a limit of the catalogue, the account or the member, or more than one payment can carry; or the account is "
    "stopped since it spent too fast. Nothing moved.",
)
INVALID_REQUEST = ErrorCode(
    "PAY007",
    422,
    "Invalid request",
    "The request, or the usage event, cannot be taken as it is; the detail says what is wrong.",
)
IDEMPOTENCY_KEY_MISSING = ErrorCode(
    "PAY008",
    400,
    "Idempotency key missing",
    "This request moves money and needs an `Idempotency-Key` header of 1 to 255 printable characters.",
)
IDEMPOTENCY_KEY_REUSED = ErrorCode(
    "PAY009",
    422,
    "Idempotency key reused for another request",
    "The key was used before, with another body. A new request needs a new key.",
)
NOT_FOUND = ErrorCode("PAY010", 404, "Not found", "There is no such thing, or it belongs to another account.")
NOT_AUTHENTICATED = ErrorCode(
    "PAY011",
    401,
    "Not authenticated",
    "The token or key is missing, wrong, ended or revoked; or the e-mail and password do not fit.",
)
NOT_ALLOWED = ErrorCode(
    "PAY012", 403, "Not allowed", "The caller is known, but his role or his key's scopes do not allow this."
)
TOO_MANY_REQUESTS = ErrorCode(
    "PAY013",
    429,
    "Too many requests",
    "The caller came too often. `Retry-After` says after how many seconds he may come again.",
)
UNAVAILABLE = ErrorCode(
    "PAY014",
    503,
    "Temporarily unavailable",
    "Something we need does not answer. Send the same request again, with the same `Idempotency-Key`.",
)
INTERNAL_ERROR = ErrorCode("PAY015", 500, "Internal error", "A bug on our side. The `request_id` finds it in the logs.")
ALREADY_REGISTERED = ErrorCode(
    "PAY016", 409, "Already registered", "Somebody signed up with this e-mail address before."
)
UNKNOWN_PACK = ErrorCode("PAY017", 422, "Unknown pack", "No pack on sale has this id, or nothing but packs is sold.")
PURCHASE_STATE = ErrorCode(
    "PAY018",
    409,
    "Not possible in the purchase's state",
    "The purchase cannot be canceled or refunded as it stands; `state` says how it stands.",
)
REFUND_TOO_LARGE = ErrorCode(
    "PAY019",
    422,
    "Refund exceeds what is left of the payment",
    "More than is left of the payment, counting refunds on their way; `left` says how much that is.",
)
RETURN_ADDRESS_REFUSED = ErrorCode(
    "PAY020",
    422,
    "Return address not allowed",
    "The address to return to after paying is not on the deployment's list.",
)
UNKNOWN_METER = ErrorCode("PAY021", 422, "Unknown meter", "The price book has no such meter. Nothing was burnt.")
UNRATABLE_USAGE = ErrorCode(
    "PAY022",
    422,
    "Usage cannot be rated",
    "No price of the meter fits the event's properties, or it costs more than an account can hold.",
)
ACCOUNT_NOT_OPEN = ErrorCode("PAY023", 409, "Account not open", "The account is frozen or closed. Nothing was burnt.")
EVENT_ID_REUSED = ErrorCode(
    "PAY024",
    409,
    "Event id reused for another event",
    "A usage event with this source and id came before, with another content. The first one counts.",
)
PAYLOAD_TOO_LARGE = ErrorCode(
    "PAY025", 413, "Payload too large", "The body, or the batch in it, is larger than this route takes."
)
METHOD_NOT_ALLOWED = ErrorCode("PAY026", 405, "Method not allowed", "The path exists, but not for this method.")
PAYMENT_MISMATCH = ErrorCode(
    "PAY027",
    409,
    "Payment differs from the purchase",
    "What Stripe says of the payment differs from our record. It is in quarantine, nothing was credited.",
)
UNKNOWN_ACCOUNT = ErrorCode("PAY028", 404, "Unknown account", "No ledger account has this id.")
MALFORMED_EVENT = ErrorCode(
    "PAY029",
    422,
    "Malformed event",
    "The record or the body is no usage event. Of a batch over HTTP none was taken; `errors` says why.",
)
CURRENCY_NOT_OFFERED = ErrorCode(
    "PAY030", 422, "Currency not offered", "Nothing of this kind is sold in that currency."
)
MALFORMED_WEBHOOK = ErrorCode(
    "PAY031", 400, "Webhook is not an event", "The webhook is signed, but its body is not an event of Stripe."
)
REFUND_REFUSED = ErrorCode("PAY032", 409, "Refund refused", "Stripe refused the refund; no money went back.")
ACCOUNT_NOT_EMPTY = ErrorCode(
    "PAY033", 409, "Account not empty", "The account still has, holds or owes something; closing it has to be forced."
)
GRANT_STATE = ErrorCode(
    "PAY034",
    409,
    "Not possible in the grant's state",
    "The grant does not wait for a decision; `state` says how it stands.",
)
UNKNOWN_ACTIVITY = ErrorCode("PAY035", 422, "Unknown activity", "The catalogue has no activity of this name.")
HOLD_SETTLED = ErrorCode(
    "PAY036",
    409,
    "Hold is settled",
    "The hold was captured or released before, and reserves nothing any more. Nothing was burnt.",
)
HOLD_EXPIRED = ErrorCode(
    "PAY037",
    409,
    "Hold has expired",
    "The hold was not captured or extended in time; what it reserved is free again. Nothing was burnt.",
)
CAPTURE_TOO_LARGE = ErrorCode(
    "PAY038",
    422,
    "Capture exceeds what the hold reserves",
    "More than the hold still reserves; `left` says how much that is. Nothing was burnt.",
)
HOLD_TOO_LONG = ErrorCode(
    "PAY039", 422, "Hold would live too long", "No hold lives longer than the catalogue says, extended or not."
)
CHARGE_REFUND_TOO_LARGE = ErrorCode(
    "PAY040",
    422,
    "Refund exceeds what is left of the charge",
    "More than the charge burnt, less what was given back before; `left` says how much that is.",
)
REFERENCE_REUSED = ErrorCode(
    "PAY041",
    409,
    "Reference reused for another charge",
    "The account was charged for this reference before, another amount. The first charge stands; `charge` names it.",
)
TRANSFER_NOT_ALLOWED = ErrorCode(
    "PAY042", 403, "Transfers not allowed", "The catalogue of this deployment does not let credits change hands."
)
INVALID_PRICE_BOOK = ErrorCode(
    "PAY043",
    422,
    "Price book cannot be used",
    "A rule of the price book is wrong: `where` leads to it, the detail says why. Nothing was kept.",
)
PRICE_BOOK_IN_USE = ErrorCode(
    "PAY044",
    409,
    "Price book is in use",
    "This version was activated, from that time or another, and stays what it is; give the new one another name.",
)
HOLDS_BLOCKED = ErrorCode(
    "PAY045",
    402,
    "Holds are blocked",
    "The account used what its credits did not cover, and by its policy holds nothing until it has as many.",
)
CREDITS_SPENT = ErrorCode(
    "PAY046",
    409,
    "Credits are spent",
    "What would go back with the money is spent, in part at least, and the catalogue lets nobody refund what is spent.",
)
TOO_MANY_CARDS = ErrorCode(
    "PAY047",
    422,
    "Too many saved cards",
    "The account has as many cards saved, or about to be saved, as it may have; remove one first.",
)
RECONCILIATION_STOPPED = ErrorCode(
    "PAY048",
    502,
    "Reconciliation stopped",
    "What is left of the pass cannot go on, and will not by itself: the log line `reconciliation.failed` says why. All "
    "else of it is through.",
)

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
