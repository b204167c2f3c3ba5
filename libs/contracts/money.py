"""Money: integer minor units and an ISO 4217 currency, by Stripe's rules for zero- and three-decimal currencies."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
"""Currencies whose smallest unit is the unit itself. Source: Stripe, "Supported currencies", zero-decimal list.

UGX and ISK are on no list here: Stripe takes both with two decimals that must be 00.
"""

THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
"""Currencies with a thousandth as smallest unit; Stripe wants the last digit to be 0."""

WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})
"""Two decimals for Stripe's API, but only whole units can be charged."""

LARGEST_AMOUNT = 99_999_999
"""Stripe's largest charge: eight digits in minor units."""

# fmt: off
SMALLEST_CHARGE = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}
# fmt: on
"""Stripe's smallest charges, where it publishes one ("Minimum charge amounts"); of other currencies it decides itself.
"""

Currency = Annotated[str, Field(pattern=r"^[a-z]{3}$", examples=["usd"])]


def decimals(currency: str) -> int:
    """Tell how many decimal places an amount in this currency has when people write it."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Tell the minor units between two neighbouring amounts that Stripe can charge."""
    return 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1


def chargeable(amount_minor: int, currency: str) -> bool:
    """Tell whether Stripe can charge exactly this amount: its granularity and its eight digits."""
    return 0 < amount_minor <= LARGEST_AMOUNT and amount_minor % smallest_step(currency) == 0


def smallest_charge(currency: str) -> int:
    """Tell the least that Stripe charges, as far as it says so; else the least that there is."""
    return SMALLEST_CHARGE.get(currency, smallest_step(currency))


class Money(BaseModel):
    """An amount of money."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount_minor: StrictInt = Field(ge=-(10**15), le=10**15)
    currency: Currency

    def __str__(self) -> str:
        """Write the amount as people do: "9.99 USD", "500 JPY"."""
        places = decimals(self.currency)
        whole, fraction = divmod(abs(self.amount_minor), 10**places)
        sign = "-" if self.amount_minor < 0 else ""
        tail = f".{fraction:0{places}d}" if places else ""
        return f"{sign}{whole}{tail} {self.currency.upper()}"

    def __add__(self, other: "Money") -> Self:
        """Add an amount in the same currency. Raises ValueError for another."""
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return type(self)(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)
