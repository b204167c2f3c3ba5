"""What an amount may be in its currency, refused in Stripe's words."""

from deploy.stripe_sandbox import money
from deploy.stripe_sandbox.errors import InvalidRequestError


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that Stripe would not charge."""
    if amount < 1:
        raise InvalidRequestError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > money.LARGEST:
        most = money.shown(money.LARGEST, currency)
        raise InvalidRequestError(f"Amount must be no more than {most}", code="amount_too_large", param="amount")
    least = money.SMALLEST.get(currency, 1)
    if amount < least:
        raise InvalidRequestError(
            f"Amount must be at least {money.shown(least, currency)}", code="amount_too_small", param="amount"
        )
    check_granularity(amount, currency, param="amount")


def check_granularity(amount: int, currency: str, *, param: str) -> None:
    """Refuse what no card network can carry: a third decimal, or a fraction of what is paid in whole units alone."""
    if currency in money.WITH_THREE_DECIMALS and amount % 10:
        raise InvalidRequestError(f"The last digit of an amount in {currency} must be 0.", param=param)
    if currency in money.IN_WHOLE_UNITS and amount % 100:
        raise InvalidRequestError(f"The last two digits of an amount in {currency} must be 00.", param=param)
