"""What can be wrong with a sign-up or a log-in."""

from libs.chassis.errors import DomainError, NotAuthenticatedError
from libs.contracts import errors as codes


class AlreadyRegisteredError(DomainError):
    """Somebody has signed up with this e-mail address already."""

    code = codes.ALREADY_REGISTERED


class LoginRefusedError(NotAuthenticatedError):
    """The e-mail address or the password is wrong."""
