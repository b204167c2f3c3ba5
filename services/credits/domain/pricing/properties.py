"""Properties of a usage, checked against those that its meter declares."""

from collections.abc import Callable, Mapping

from libs.contracts.events.usage_v1 import PropertyValue
from libs.contracts.price_book import BooleanProperty, IntegerProperty, Property, TextProperty

Check = Callable[[PropertyValue], str | None]
"""Says what is wrong with a value, if anything."""


class Declared:
    """The properties that events of a meter may have, or must."""

    def __init__(self, properties: Mapping[str, Property]) -> None:
        self._checks = {name: _check(kind) for name, kind in properties.items()}
        self._defaults = {name: kind.default for name, kind in properties.items() if kind.default is not None}
        self._required = frozenset(properties.keys() - self._defaults.keys())

    def completed(self, given: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
        """Give all that are declared, by their defaults where the event does not say. Raises ValueError."""
        for name, value in given.items():
            check = self._checks.get(name)
            if check is None:
                raise ValueError(f'the meter declares no property "{name}"')
            if (wrong := check(value)) is not None:
                raise ValueError(f'property "{name}": {wrong}')
        if missing := self._required - given.keys():
            raise ValueError(f'property "{min(missing)}" is missing')
        return {**self._defaults, **given}


def _check(kind: Property) -> Check:
    if isinstance(kind, BooleanProperty):
        return lambda value: None if isinstance(value, bool) else "true or false is expected"
    return _text(kind) if isinstance(kind, TextProperty) else _integer(kind)


def _text(kind: TextProperty) -> Check:
    values = None if kind.values is None else frozenset(kind.values)

    def check(value: PropertyValue) -> str | None:
        if not isinstance(value, str):
            return "a text is expected"
        if values is not None and value not in values:
            return f'"{value[:50]}" is none of {", ".join(sorted(values)[:10])}'
        return None

    return check


def _integer(kind: IntegerProperty) -> Check:
    def check(value: PropertyValue) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return "a whole number is expected"
        if not kind.minimum <= value <= kind.maximum:
            return f"{value} is not between {kind.minimum} and {kind.maximum}"
        return None

    return check
