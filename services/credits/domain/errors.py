"""What the ledger answers when it cannot do as asked."""

from libs.chassis.errors import DomainError
from libs.contracts import errors as codes


class UnknownAccountError(DomainError):
    """No ledger account has this id."""

    code = codes.UNKNOWN_ACCOUNT


class UnknownMeterError(DomainError):
    """The price book has no such meter."""

    code = codes.UNKNOWN_METER


class UnratableUsageError(DomainError):
    """No price of the meter fits these properties."""

    code = codes.UNRATABLE_USAGE


class HoldTooLongError(DomainError):
    """No hold lives that long."""

    code = codes.HOLD_TOO_LONG


class TransferNotAllowedError(DomainError):
    """Credits do not change hands here."""

    code = codes.TRANSFER_NOT_ALLOWED


class TransferTooLargeError(DomainError):
    """One transfer may not move so much."""

    code = codes.CREDIT_LIMIT_EXCEEDED


class LotMissingError(Exception):
    """A payment was refunded whose lot was never granted: an event is missing, and its key must wait for it."""


class ReferenceReusedError(Exception):
    """A reference that already funded something came again with other content."""
