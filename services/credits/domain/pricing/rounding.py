"""Exact arithmetic: integers and ratios of integers, rounded where a rule says so and by its name."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

from libs.contracts.price_book import Billing

Exact = int | Fraction
_HUNDREDTH = Fraction(1, 100)


def _up(value: Exact) -> int:
    return -((-value) // 1)


def _down(value: Exact) -> int:
    return value // 1


def _nearest(value: Exact) -> int:
    return (2 * value + 1) // 2


def _half_even(value: Exact) -> int:
    whole = value // 1
    twice = 2 * (value - whole)
    return whole + 1 if twice > 1 or (twice == 1 and whole % 2) else whole


ROUND: dict[str, Callable[[Exact], int]] = {"up": _up, "down": _down, "nearest": _nearest, "half_even": _half_even}
"""By name, of what is not negative: up to the next whole, down, from half on up, or a half to the even neighbour."""


_DECIMAL_MODE = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "nearest": ROUND_HALF_UP}
"""The same, of decimal numbers that are not negative: many times faster than ratios."""


def whole_or_ratio(value: int | Decimal | Fraction) -> Exact:
    """Give a number as it is: an int if it is whole, with which arithmetic is several times faster."""
    ratio = Fraction(value)
    return ratio.numerator if ratio.denominator == 1 else ratio


def percent(value: Exact, so_many: int) -> Exact:
    """Take so many percent of something."""
    hundredfold = value * so_many
    if isinstance(hundredfold, int) and not hundredfold % 100:  # as with most prices: no ratio is needed
        return hundredfold // 100
    return hundredfold * _HUNDREDTH


def billed_units(billing: Billing) -> Callable[[int | Decimal], Exact]:
    """Make the function that turns a quantity into billed units."""
    per = Fraction(billing.per)
    in_one = Fraction(per.denominator, per.numerator)
    whole = ROUND.get(billing.rounding)
    if in_one == 1 and (mode := _DECIMAL_MODE.get(billing.rounding)) is not None:
        return lambda quantity: (
            quantity if isinstance(quantity, int) else int(quantity.to_integral_value(rounding=mode))
        )
    if in_one == 1:  # whole quantities, by far the most of them, are what they are
        return lambda quantity: quantity if isinstance(quantity, int) else Fraction(quantity)
    return lambda quantity: _counted(Fraction(quantity) * in_one, whole)


def _counted(units: Fraction, whole: Callable[[Exact], int] | None) -> Exact:
    return units if whole is None else whole(units)
