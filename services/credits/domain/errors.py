"""What the ledger answers when it cannot do as asked."""

from libs.chassis.errors import DecidedElsewhereError, DomainError
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


class InvalidPriceBookError(DomainError):
    """The price book cannot be used."""

    code = codes.INVALID_PRICE_BOOK


class PriceBookInUseError(DomainError):
    """This version of the price book was activated, and cannot be changed any more."""

    code = codes.PRICE_BOOK_IN_USE


class HoldTooLongError(DomainError):
    """No hold lives that long."""

    code = codes.HOLD_TOO_LONG


class TransferNotAllowedError(DomainError):
    """Credits do not change hands here."""

    code = codes.TRANSFER_NOT_ALLOWED


class TransferTooLargeError(DomainError):
    """One transfer may not move so much."""

    code = codes.CREDIT_LIMIT_EXCEEDED


class AccountNotOpenError(DomainError):
    """The account is closed, or frozen."""

    code = codes.ACCOUNT_NOT_OPEN


class AccountNotEmptyError(DomainError):
    """The account still has, holds or owes something."""

    code = codes.ACCOUNT_NOT_EMPTY


class LimitExceededError(DomainError):
    """This is beyond a limit."""

    code = codes.CREDIT_LIMIT_EXCEEDED


class GrantStateError(DomainError):
    """The grant does not wait for a decision."""

    code = codes.GRANT_STATE


class SecondPersonNeededError(DomainError):
    """Another person than the one who asked for the grant has to decide about it."""

    code = codes.NOT_ALLOWED


class UnknownActivityError(DomainError):
    """The catalogue has no activity of this name."""

    code = codes.UNKNOWN_ACTIVITY


class RefusedError(DecidedElsewhereError):
    """The ledger refused this."""


class LotMissingError(Exception):
    """A payment was refunded whose lot was never granted: an event is missing, and its key must wait for it."""


class ReferenceReusedError(Exception):
    """A reference that already funded something came again with other content."""
