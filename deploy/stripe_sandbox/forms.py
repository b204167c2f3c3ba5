"""Stripe's wire: form bodies whose names carry brackets, a[b][0]=x."""

import re
from typing import Any
from urllib.parse import parse_qsl

from deploy.stripe_sandbox.errors import InvalidRequestError

Fields = dict[str, Any]
"""What a form says: strings, and dicts of them. A list is a dict with digits for keys until a model asks for a list."""

NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Fields:
    """Turn a form body or a query into nested fields; the last value of a repeated name wins."""
    root: Fields = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _store(root, name, value)
    return root


def _store(root: Fields, name: str, value: str) -> None:
    match = NAME.fullmatch(name)
    if match is None:
        raise InvalidRequestError(f"Invalid parameter name: {name}", code="parameter_unknown", param=name)
    *parents, last = [match[1], *PART.findall(match[2])]
    node = root
    for part in parents:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise InvalidRequestError(f"Invalid hash: {name}", param=name)
    last = last or str(len(node))
    if isinstance(node.get(last), dict):
        raise InvalidRequestError(f"Invalid string: {name} is also a hash", param=name)
    node[last] = value
