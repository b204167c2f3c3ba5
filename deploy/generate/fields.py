"""The fields of a JSON Schema, in words."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.generate.markdown import code, table
from libs.contracts.credits import PATTERN as CREDITS

Schema = Mapping[str, Any]
Link = Callable[[str], str]
"""Writes a model's name such that it leads to the model."""

_PLAIN = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}
_FORMATS = {"date-time": "time", "path": "path", "password": "secret"}


def table_of(model: Schema, link: Link) -> str:
    """Write a table with a row per field of a model: its name, its type, whether it must be there, its meaning."""
    required = model.get("required", ())
    return table(
        ("field", "type", "", "meaning"),
        [
            (code(name), type_of(field, link), "required" if name in required else "", field.get("description", ""))
            for name, field in model.get("properties", {}).items()
        ],
    )


def type_of(schema: Schema, link: Link) -> str:
    """Name the type of a value, with its bounds."""
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(type_of(each, link) for each in alternatives))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}), link)}{_bounds(schema)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {type_of(schema['additionalProperties'], link)}"
    return _plain(schema)


def _plain(schema: Schema) -> str:
    if choices := schema.get("enum") or [schema[name] for name in ("const",) if name in schema]:
        return " or ".join(code(str(choice).lower() if choice is True else choice) for choice in choices)
    pattern = schema.get("pattern", "")
    if pattern == CREDITS:
        return "credits"
    if pattern.endswith("_[0-9a-f]{32}$"):
        return f"id {code(pattern[1:5] + '...')}"
    name = _FORMATS.get(schema.get("format", "")) or _PLAIN.get(schema.get("type", ""), "any")
    return f"{name}{_bounds(schema)}" + (f", {code(pattern)}" if pattern else "")


def _bounds(schema: Schema) -> str:
    """Say the bounds of a number, or of how many characters or items there may be."""
    unit = {"string": " characters", "array": " items"}.get(schema.get("type", ""), "")
    above = schema.get("exclusiveMinimum")
    least = _first_of(schema, "minimum", "minLength", "minItems")
    most = _first_of(schema, "maximum", "maxLength", "maxItems")
    if least is not None and most is not None:
        return f", {least} to {most}{unit}"
    said = [("more than", above, ""), ("at least", least, unit), ("at most", most, unit)]
    return "".join(f", {word} {bound}{of}" for word, bound, of in said if bound is not None)


def _first_of(schema: Schema, *names: str) -> int | float | None:
    """Give the first of these that the schema says; whole numbers as such, which FastAPI writes as floats."""
    found = next((schema[name] for name in names if name in schema), None)
    return int(found) if isinstance(found, float) and found.is_integer() else found
