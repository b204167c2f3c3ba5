"""Domain errors: classes with a code and a status, whose docstring is the message people read."""

from collections.abc import Mapping
from typing import Any, ClassVar

from libs.contracts import errors as codes
from libs.contracts.errors import ErrorCode


class DomainError(Exception):
    """A definite "no" of the domain: told to the caller as a problem document, and nothing has changed.

    A subclass names its code; its docstring's first line is the problem's detail unless one is given. `facts` become
    fields of the document, `headers` go with it.
    """

    code: ClassVar[ErrorCode]

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **facts: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.headers = dict(headers or {})
        self.facts = facts
        super().__init__(self.detail)


class NotFoundError(DomainError):
    """There is no such thing, or it is not yours."""

    code = codes.NOT_FOUND


class NotAuthenticatedError(DomainError):
    """This needs a valid token."""

    code = codes.NOT_AUTHENTICATED


class NotAllowedError(DomainError):
    """Your role or your key's scopes do not allow this."""

    code = codes.NOT_ALLOWED


class InvalidRequestError(DomainError):
    """The request cannot be read."""

    code = codes.INVALID_REQUEST


class IdempotencyKeyMissingError(DomainError):
    """This request needs an Idempotency-Key header of 1 to 255 characters, so that a retry cannot act twice."""

    code = codes.IDEMPOTENCY_KEY_MISSING


class IdempotencyKeyReusedError(DomainError):
    """This Idempotency-Key was used for another request; take a fresh key for a new one."""

    code = codes.IDEMPOTENCY_KEY_REUSED


class TooManyRequestsError(DomainError):
    """Too many requests; wait as long as Retry-After says."""

    code = codes.TOO_MANY_REQUESTS


class UnavailableError(DomainError):
    """Something we need does not answer; the same request, with the same Idempotency-Key, may be tried again."""

    code = codes.UNAVAILABLE


class DecidedElsewhereError(DomainError):
    """A "no" whose code is not known before it is raised: somebody else decided, and says why."""

    def __init__(self, code: ErrorCode, detail: str, **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.code = code  # type: ignore[misc] # of all other classes it is known before


class RemoteError(DecidedElsewhereError):
    """A problem that another service answered, handed on as it came."""


class PayloadTooLargeError(DomainError):
    """The body is larger than this route takes."""

    code = codes.PAYLOAD_TOO_LARGE
