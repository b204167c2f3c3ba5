"""Writing orders: what the caller gives, checked before anything is sent."""

from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError

from ..http.base import Request
from ..ids import read, show
from .refusals import InvalidOrderError

T = TypeVar("T", bound=Request)


def order_of(model: type[T], **said: Any) -> T:
    """Make an order of what was said and is not None. Raises InvalidOrderError."""
    try:
        return model.model_validate({name: value for name, value in said.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidOrderError(f"{name}: {first['msg']}" if name else first["msg"]) from error


def written(amount: Decimal | str | None) -> str | None:
    """Write credits as they travel. Raises InvalidOrderError for a float, and for an int.

    Whole numbers are micro-credits in this package's models, and nobody can see from 5 which was meant.
    """
    if isinstance(amount, int | float):
        raise InvalidOrderError(
            f'amount: is {amount!r} credits or micro-credits? Give credits as "{amount}" or a Decimal, '
            "and micro-credits by format_credits"
        )
    return f"{amount:f}" if isinstance(amount, Decimal) else amount


def account_named(account: UUID | str) -> str:
    """Write an account's id as it travels. Raises InvalidOrderError."""
    try:
        return show("account", read("account", account) if isinstance(account, str) else account)
    except ValueError as error:
        raise InvalidOrderError(f"account: {error}") from error
