"""What the sandbox takes, held against what Stripe's description knows."""

from typing import Any

import pytest

from deploy.stripe_sandbox.app import operations
from deploy.stripe_sandbox.cards import TOKENS, card_of
from deploy.stripe_sandbox.routes import Operation
from tests.support import stripe_checks

ALL = pytest.mark.parametrize("operation", operations(), ids=lambda operation: f"{operation.method} {operation.path}")


def alternatives(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Give every schema that a value may follow, with references and alternatives resolved."""
    if "$ref" in schema:
        return alternatives(definitions[schema["$ref"].split("/")[-1]], definitions)
    if "anyOf" in schema:
        return [each for option in schema["anyOf"] for each in alternatives(option, definitions)]
    return [schema]


def unknown_to_stripe(
    ours: dict[str, Any], theirs: dict[str, Any], definitions: dict[str, Any], where: str
) -> list[str]:
    """Give what our schema names and Stripe's does not, all the way down."""
    found = []
    stripes = alternatives(theirs, {})
    for mine in alternatives(ours, definitions):
        known = {name: schema for option in stripes for name, schema in option.get("properties", {}).items()}
        for name, schema in mine.get("properties", {}).items():
            if name not in known:
                found.append(f"{where}[{name}]")
            else:
                found += unknown_to_stripe(schema, known[name], definitions, f"{where}[{name}]")
        items = [option["items"] for option in stripes if "items" in option]
        if "items" in mine and items:
            found += unknown_to_stripe(mine["items"], items[0], definitions, f"{where}[]")
        choices = [option["enum"] for option in stripes if "enum" in option]
        if "enum" in mine and choices:
            found += [f"{where}={value}" for value in mine["enum"] if not any(value in each for each in choices)]
    return found


@ALL
def test_stripe_knows_every_call_and_every_parameter(operation: Operation) -> None:
    path = operation.path.replace("/v1/events/{event}", "/v1/events/{id}")
    hit = stripe_checks.spec().find(operation.method, path)
    assert hit is not None
    assert hit[2] == path
    theirs = stripe_checks.spec().request_schema(operation.method, path)
    assert theirs is not None
    ours = operation.params.model_json_schema()
    assert unknown_to_stripe(ours, theirs, ours.get("$defs", {}), operation.path) == []


@ALL
def test_every_call_with_parameters_is_checked_against_the_clients_types(operation: Operation) -> None:
    named = set(operation.params.model_fields) - {"expand"}
    if named:
        assert f"{operation.method} {operation.path}" in stripe_checks.TYPES


def test_the_checks_find_what_is_wrong() -> None:
    exchange: dict[str, Any] = {
        "number": 1, "method": "POST", "path": "/v1/refunds", "query": "",
        "body": "payment_intent=pi_1&amount=one&colour=red",
        "status": 200, "answer": {"object": "refund", "id": "re_1", "amount": "100"}, "publishable": False,
        "fault": None, "replayed": False,
    }  # fmt: skip
    event = {"object": "event", "id": "evt_1", "type": "refund.invented", "data": {"object": {"object": "refund"}}}
    found = stripe_checks.problems([exchange], [event])
    for expected in ("'one'", "colour", '"100"', "/balance_transaction: missing", "no event type refund.invented"):
        assert any(expected in problem for problem in found), (expected, found)
    assert stripe_checks.problems([{**exchange, "status": 500, "answer": {"error": {"type": "api_error"}}}], []) != []


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_stands_for_a_test_card(token: str) -> None:
    assert card_of(TOKENS[token]).number == TOKENS[token]
