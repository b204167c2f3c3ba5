"""What payments refuses, and what a caller reads then."""

from libs.chassis.errors import DomainError
from libs.contracts import errors as codes


class UnknownPackError(DomainError):
    """There is no such pack on sale."""

    code = codes.UNKNOWN_PACK


class OnlyPacksError(DomainError):
    """Only packs are sold here, not amounts of one's own choice."""

    code = codes.UNKNOWN_PACK


class CurrencyNotOfferedError(DomainError):
    """This is not sold in that currency."""

    code = codes.CURRENCY_NOT_OFFERED


class AmountOutOfLimitsError(DomainError):
    """The amount is outside what can be bought at once."""

    code = codes.CREDIT_LIMIT_EXCEEDED


class AmountNotChargeableError(DomainError):
    """Stripe cannot move exactly this amount in this currency."""

    code = codes.INVALID_REQUEST


class ReturnAddressRefusedError(DomainError):
    """The return address is not on the list of allowed ones."""

    code = codes.RETURN_ADDRESS_REFUSED


class PurchaseStateError(DomainError):
    """The purchase is in a state in which this is not possible."""

    code = codes.PURCHASE_STATE


class PaymentMismatchError(DomainError):
    """What Stripe says of the payment differs from the purchase; people look into it, and nothing was credited."""

    code = codes.PAYMENT_MISMATCH


class RefundTooLargeError(DomainError):
    """The refund exceeds what is left of the payment."""

    code = codes.REFUND_TOO_LARGE


class RefundRefusedError(DomainError):
    """Stripe refused the refund; no money went back."""

    code = codes.REFUND_REFUSED


class RefundNotAllowedError(DomainError):
    """Customers cannot refund purchases themselves here; ask the support team."""

    code = codes.NOT_ALLOWED
