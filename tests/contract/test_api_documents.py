"""The services' API documents tell a reader what he needs, of every operation."""

from typing import Any

import pytest

from deploy.generate import api, openapi
from deploy.generate.documents import REFERENCE

SERVICES = ("gateway", "payments", "credits", "notifications")
DOCUMENTS: dict[str, Any] = {service: openapi.app(service).openapi() for service in SERVICES}
OPERATIONS = [
    pytest.param(service, operation, id=f"{service}: {operation.get('operationId', f'{method} {path}')}")
    for service, document in DOCUMENTS.items()
    for path, item in document["paths"].items()
    for method, operation in item.items()
]
PAGE = api.documents()[REFERENCE / "api.md"]


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_an_operation_has_a_name_and_says_what_it_does(service: str, operation: dict[str, Any]) -> None:
    assert operation["operationId"].isidentifier()
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert service != "gateway" or len(operation["tags"]) == 1


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_an_operation_answers_problems_as_problem_documents(service: str, operation: dict[str, Any]) -> None:
    problems = {
        status: answer["content"]
        for status, answer in operation["responses"].items()
        if status == "default" or status >= "4"
    }
    assert {"default"} <= set(problems)
    assert service != "gateway" or {"429", "503"} <= set(problems)
    for content in problems.values():
        assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.mark.parametrize("service", SERVICES)
def test_operations_are_told_apart(service: str) -> None:
    operations = [operation for item in DOCUMENTS[service]["paths"].values() for operation in item.values()]
    for field in ("operationId", "summary"):
        said = [operation[field] for operation in operations]
        assert sorted(said) == sorted(set(said))


def test_the_page_names_every_route_and_model_of_the_gateway() -> None:
    for path, item in DOCUMENTS["gateway"]["paths"].items():
        for method in item:
            assert f"`{method.upper()} {path}`" in PAGE
    for model in DOCUMENTS["gateway"]["components"]["schemas"]:
        assert f"### {model}\n" in PAGE


@pytest.mark.parametrize(
    ("operation", "caller"),
    [
        ("POST /v1/auth/login", "anybody"),
        ("GET /v1/packs", "anybody"),
        ("GET /v1/me", "a signed-in user"),
        ("POST /v1/purchases", "a signed-in user"),
        ("GET /v1/balance", "a signed-in user, or an API key with `credits:read`"),
        ("POST /v1/events", "an API key with `usage:write`"),
        (
            "POST /v1/estimates",
            "a signed-in user, or an API key with `credits:read` or `charges:write` or `holds:write`",
        ),
    ],
)
def test_the_page_says_whom_the_door_lets_in(operation: str, caller: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if f"`{operation}`" in line]
    assert line.split(" | ")[1] == caller
