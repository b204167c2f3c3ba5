"""The gateway's own description of its API: complete, and honest about who may do what."""

from typing import Any, cast

import pytest
from fastapi import FastAPI

from libs.chassis.http import create_app
from services.gateway.api import api_keys, auth, balances, catalogue, purchases, usage, webhooks
from services.gateway.api.door import Door

PUBLIC = {"register", "logIn", "refresh", "logOut", "listPacks", "getPaymentConfig", "receiveStripeWebhook"}
BY_KEY = {"getBalance", "listLots", "listTransactions", "reportUsage", "reportUsageAsOpenMeter"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    nothing = cast("Any", None)
    door = Door(nothing, tokens=nothing, key_uses=nothing, limits=nothing, rates=nothing, clock=nothing)
    payments = cast("Any", type("Payments", (), {"packs": None, "payment_config": None}))
    app: FastAPI = create_app("Scrip gateway", checks={})
    for router in (
        auth.routes(door, nothing, nothing),
        api_keys.routes(door, nothing, nothing),
        catalogue.routes(door, payments, seconds=1),
        purchases.routes(door, nothing, payments),
        balances.routes(door, nothing, nothing, nothing),
        usage.routes(door, nothing),
        webhooks.routes(nothing, nothing, secrets=["s"], further_paths=["/webhook"]),
    ):
        app.include_router(router)
    return app.openapi()


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_operations_have_names_of_their_own_and_tags_and_words(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names)) > 20
    assert all(operation["tags"] and operation["description"] for operation in operations(document))


def test_every_operation_says_who_may_do_it(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    for operation in operations(document):
        schemes = {name for each in operation.get("security", []) for name in each}
        name = operation["operationId"]
        assert schemes == (set() if name in PUBLIC else {"bearer", "apiKey"} if name in BY_KEY else {"bearer"}), name


def test_every_operation_answers_problems_as_problem_documents(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            if status.isdigit() and int(status) >= 400:
                (content,) = answer["content"].values()
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (operation["operationId"], status)


def test_further_webhook_paths_are_not_in_the_document(document: dict[str, Any]) -> None:
    assert "/v1/webhooks/stripe" in document["paths"]
    assert "/webhook" not in document["paths"]
