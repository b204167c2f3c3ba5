"""What can go wrong when credits are spent over HTTP: a definite no, by its code, or no answer at all."""

from typing import Any

from .. import errors as codes
from ..errors import ErrorCode


class CreditsClientError(Exception):
    """Every error of the client that spends is one of these."""


class InvalidOrderError(CreditsClientError, ValueError):
    """This can be no order; nothing was sent. The message says which part is wrong."""


class CreditsUnavailableError(CreditsClientError):
    """There was no answer within the patience, so it may have been done or not.

    To learn it, ask again with the same idempotency key. A hold that nobody knows of frees itself.
    """


class RefusedError(CreditsClientError):
    """A definite no, and nothing was changed: `code` says which no, `facts` what the problem document told besides."""

    def __init__(self, code: str, detail: str, facts: dict[str, Any]) -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code = code
        self.detail = detail
        self.facts = facts


class InsufficientCreditsError(RefusedError):
    """The available credits do not cover this."""

    @property
    def required(self) -> str:
        """How many credits it takes, as a decimal string."""
        return str(self.facts.get("required", ""))

    @property
    def available(self) -> str:
        """How many the account has."""
        return str(self.facts.get("available", ""))

    @property
    def buy(self) -> str:
        """Where more can be had: a path of the gateway."""
        return str(self.facts.get("buy", ""))


class CreditLimitExceededError(RefusedError):
    """Beyond a limit of the catalogue, the account or the member; or the account is stopped since it spent too fast."""


class AccountNotOpenError(RefusedError):
    """The account is frozen or closed."""


class HoldSettledError(RefusedError):
    """The hold was captured or released before."""


class HoldExpiredError(RefusedError):
    """The hold was not extended in time, and reserves nothing any more."""


class CaptureTooLargeError(RefusedError):
    """More than the hold still reserves."""

    @property
    def left(self) -> str:
        """How many credits it still reserves, as a decimal string."""
        return str(self.facts.get("left", ""))


class NotAuthorizedError(RefusedError):
    """The API key is wrong, lacks the scope, or may not act on this account."""


_CLASSES: dict[ErrorCode, type[RefusedError]] = {
    codes.INSUFFICIENT_CREDITS: InsufficientCreditsError,
    codes.CREDIT_LIMIT_EXCEEDED: CreditLimitExceededError,
    codes.ACCOUNT_NOT_OPEN: AccountNotOpenError,
    codes.HOLD_SETTLED: HoldSettledError,
    codes.HOLD_EXPIRED: HoldExpiredError,
    codes.CAPTURE_TOO_LARGE: CaptureTooLargeError,
    codes.NOT_AUTHENTICATED: NotAuthorizedError,
    codes.NOT_ALLOWED: NotAuthorizedError,
}
_BY_CODE = {code.code: kind for code, kind in _CLASSES.items()}
_ENVELOPE = {"type", "title", "status", "detail", "code", "instance", "request_id"}


def refused(problem: dict[str, Any]) -> RefusedError:
    """Make the error of a problem document."""
    code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
    facts = {name: value for name, value in problem.items() if name not in _ENVELOPE}
    return _BY_CODE.get(code, RefusedError)(code, detail, facts)
