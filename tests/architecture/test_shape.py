"""How long, under which names: what keeps the code readable."""

import ast

import pytest

from tests.architecture.sources import Source, sources

EVERYTHING = sources("services", "libs", "deploy", "tests")
LONGEST_FILE = 400
LONGEST_FUNCTION = 40
ONE_LITERAL = {
    "deploy/stripe_sandbox/shapes/checkout.py": "a session of Stripe's in one piece, as its documentation has it",
    "deploy/stripe_sandbox/shapes/payments.py": "an intent of Stripe's in one piece, as its documentation has it",
}
SAYS_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "base_utils", "tools"}


def test_there_is_something_to_look_at() -> None:
    assert len(EVERYTHING) > 200


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    assert [source.name for source in EVERYTHING if source.text.count("\n") > LONGEST_FILE] == []


def too_long(source: Source) -> list[str]:
    return [
        f"{source.name}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    assert [line for source in EVERYTHING if source.name not in ONE_LITERAL for line in too_long(source)] == []


@pytest.mark.parametrize("name", ONE_LITERAL)
def test_an_exception_is_one_that_is_still_needed(name: str) -> None:
    (source,) = (source for source in EVERYTHING if source.name == name)
    assert too_long(source)


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = {source.name: {source.path.stem, *source.path.parent.parts} for source in EVERYTHING}
    assert [name for name, words in named.items() if words & SAYS_NOTHING] == []
