"""Conditions in CEL, by the language's own library, all of a meter's in one expression.

Each is compiled alone first, so that an error names it. What is evaluated is one expression that gives an integer with
a bit for each condition that holds: going into the library and back costs more than the conditions do.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cel_expr_python import cel

from libs.contracts.price_book import BooleanProperty, IntegerProperty, Property
from services.credits.domain.pricing.errors import PriceBookError, Where

Holding = Callable[[Mapping[str, Any]], int]
"""Tells which conditions hold for some properties: bit by bit, the first one lowest. Raises ValueError if one fails."""

_WORD = re.compile("[a-z][a-z0-9_]*")
_LOOP = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(")
_COMPLAINT = re.compile(r"<input>:\d+:(\d+): (.*)")


def compile_conditions(properties: Mapping[str, Property], conditions: Sequence[tuple[Where, str | None]]) -> Holding:
    """Compile a meter's conditions; one that is absent always holds. Raises PriceBookError at the first wrong one."""
    env = cel.NewEnv(variables={name: _type(kind) for name, kind in properties.items()})
    for where, condition in conditions:
        if condition is not None:
            _check(env, where, condition)
    always = sum(1 << bit for bit, (_, condition) in enumerate(conditions) if condition is None)
    terms = [f"(({text}) ? {1 << bit} : 0)" for bit, (_, text) in enumerate(conditions) if text is not None]
    if not terms:
        return lambda _: always
    evaluate = env.compile(" + ".join(terms)).eval

    def holding(values: Mapping[str, Any]) -> int:
        found = evaluate(data=values).value()
        if type(found) is not int:
            raise ValueError(str(found))
        return found | always

    return holding


def words(conditions: Iterable[str | None]) -> set[str]:
    """Tell which words occur in conditions: those of properties, and others."""
    return set(_WORD.findall(" ".join(condition or "" for condition in conditions)))


def _type(kind: Property) -> Any:
    if isinstance(kind, BooleanProperty):
        return cel.Type.BOOL
    return cel.Type.INT if isinstance(kind, IntegerProperty) else cel.Type.STRING


def _check(env: Any, where: Where, condition: str) -> None:
    """Compile a condition alone, by the properties' types. None may loop: it would cost more than its length says."""
    if _LOOP.search(condition):
        raise PriceBookError(where, "a condition may not go through lists (all, exists, map, filter)")
    try:
        kind = env.compile(condition).return_type()
    except RuntimeError as error:
        raise PriceBookError(where, _explained(str(error))) from error
    if kind != cel.Type.BOOL:
        raise PriceBookError(where, f"a condition is true or false, this one is {kind.name().lower()}")


def _explained(complaint: str) -> str:
    found = _COMPLAINT.search(complaint)
    return f"at character {found[1]}: {found[2]}" if found else complaint
