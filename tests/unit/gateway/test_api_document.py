"""The gateway's own description of its API: complete, and honest about who may do what."""

from typing import Any

import pytest

from deploy.generate import openapi

PUBLIC = {
    "register",
    "logIn",
    "refresh",
    "logOut",
    "listGiftCardOffers",
    "listPacks",
    "getPaymentConfig",
    "receiveStripeWebhook",
}
BY_KEY = {
    *("getBalance", "listLots", "listTransactions", "reportUsage", "reportUsageAsOpenMeter"),
    *("exportTransactions", "getTransaction", "explainBalance", "listLotMovements"),
    "createEstimate",
    *("createCharge", "getCharge", "createCharges", "refundCharge"),
    *("createHold", "listHolds", "getHold", "captureHold", "extendHold", "releaseHold"),
    *("createLease", "beatLease", "closeLease"),
    *("sumUsage", "sumUsageDaily", "sumUsageByMeter", "sumUsageByModel", "foretell", "listUnusualDays"),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.app("gateway").openapi()


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
