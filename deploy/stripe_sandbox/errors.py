"""Stripe's refusals: one class per kind, each knowing its status and its place in Stripe's error envelope."""

from typing import Any, ClassVar

Object = dict[str, Any]
"""A JSON object of Stripe's. Objects are values here: a change makes a new one, so a snapshot stays what it was."""


class StripeError(Exception):
    """A refusal in Stripe's form; what is undefined in Stripe's answer is left out."""

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: str | None = None
    keeps_changes: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.fields = {"message": message, "param": param, **more}

    def envelope(self, request_log_url: str | None) -> Object:
        """Shape the answer's body."""
        slug = self.code.replace("_", "-") if self.code else None
        fields = {
            "type": self.kind,
            "code": self.code,
            "doc_url": f"https://stripe.com/docs/error-codes/{slug}" if slug else None,
            "request_log_url": request_log_url,
            **self.fields,
        }
        return {"error": {name: value for name, value in fields.items() if value is not None}}


class InvalidRequestError(StripeError):
    """The request cannot be carried out as it stands."""


class NoSuchObjectError(StripeError):
    """A parameter names an object that does not exist."""

    code = "resource_missing"

    def __init__(self, kind: str, name: str, param: str) -> None:
        super().__init__(f"No such {kind.replace('_', '').replace('.', ' ')}: '{name}'", param=param)


class NotFoundError(NoSuchObjectError):
    """The address names an object that does not exist."""

    status = 404


class UnknownAddressError(StripeError):
    """The sandbox plays no such call."""

    status = 404

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing "
            "slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in "
            "your code."
        )


class NoKeyError(StripeError):
    """The request carries no API key, or none that this sandbox takes."""

    status = 401


class SecretKeyRequiredError(StripeError):
    """A publishable key asked for what only a secret key may do."""

    status = 403
    code = "secret_key_required"

    def __init__(self) -> None:
        super().__init__(
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list "
            "of your API keys at https://dashboard.stripe.com/account/apikeys."
        )


class CardRefusedError(StripeError):
    """The card was declined; what the attempt left behind stays."""

    status = 402
    kind = "card_error"
    keeps_changes = True


class KeyReusedError(StripeError):
    """An idempotency key came back with another request."""

    kind = "idempotency_error"

    def __init__(self, key: str) -> None:
        super().__init__(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request."
        )


class KeyInUseError(StripeError):
    """Another request under the same idempotency key is still running."""

    status = 409
    code = "idempotency_key_in_use"

    def __init__(self, key: str) -> None:
        super().__init__(
            "There is currently another in-progress request using this Idempotent Key (that probably means you "
            f"submitted twice, and the other request is still going through): {key}."
        )


class TooManyRequestsError(StripeError):
    """Stripe's rate limit."""

    status = 429
    code = "rate_limit"

    def __init__(self) -> None:
        super().__init__(
            "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits."
        )


class StripeFailedError(StripeError):
    """Something broke on Stripe's side."""

    status = 500
    kind = "api_error"
