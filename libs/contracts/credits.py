"""Credits: integer micro-credits inside, decimal strings of at most six places in JSON. Never a float."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

MICRO = 1_000_000
"""Micro-credits in one credit."""

LARGEST = 9 * 10**18
"""The largest amount we hold in one number, in micro-credits: below PostgreSQL's bigint, with room for sums."""

PATTERN = r"^-?\d{1,13}(\.\d{1,6})?$"
"""What credits look like in JSON."""

_DECIMAL = re.compile(r"(-?)(\d{1,13})(?:\.(\d{1,6}))?", re.ASCII)


def parse_credits(text: str) -> int:
    """Turn a decimal string such as "12.5" into micro-credits.

    Raises ValueError for more than six places, exponents, signs other than "-", or amounts beyond our bound.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError('credits are a decimal string with at most 6 places, such as "12.5"')
    sign, whole, fraction = match[1], match[2], (match[3] or "").ljust(6, "0")
    micro = int(whole) * MICRO + int(fraction)
    if micro > LARGEST:
        raise ValueError("that many credits are beyond what an account can hold")
    return -micro if sign else micro


def format_credits(micro: int) -> str:
    """Write micro-credits as the shortest decimal string: 12500000 as "12.5"."""
    whole, fraction = divmod(abs(micro), MICRO)
    digits = f"{whole}.{fraction:06d}".rstrip("0").rstrip(".") if fraction else str(whole)
    return f"-{digits}" if micro < 0 else digits


def _read(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_credits(value)
    if info.mode == "python" and isinstance(value, int) and not isinstance(value, bool):
        return value  # micro-credits, from our own code
    raise ValueError('credits are a decimal string, such as "12.5"')


def _read_text(value: Any) -> Any:
    if isinstance(value, str):
        return parse_credits(value)
    raise ValueError('credits are a decimal string, such as "12.5"')


_WRITTEN = PlainSerializer(format_credits, return_type=str, when_used="json")
_SCHEMA = WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["12.5"]})

Credits = Annotated[int, BeforeValidator(_read), _WRITTEN, _SCHEMA]
"""For answers and events: micro-credits in Python, a decimal string in JSON; either sign."""

RequestedCredits = Annotated[int, Field(gt=0), BeforeValidator(_read_text), _WRITTEN, _SCHEMA]
"""For requests: more than no credits, and only ever a string: FastAPI shows us parsed JSON, where 5 would be micro."""

RequestedLimit = Annotated[int, Field(ge=0), BeforeValidator(_read_text), _WRITTEN, _SCHEMA]
"""For requests: no credits or more, read as `RequestedCredits` is."""
