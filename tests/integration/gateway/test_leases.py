"""Leases at the gateway: who may begin, beat and close them, and of which account."""

import pytest

from libs.contracts.ids import new_id, show
from tests.integration.gateway.gateways import Gateway
from tests.integration.gateway.stand_ins import CreditsStandIn
from tests.integration.gateway.test_spending import problem

ORDER = {"meter": "agent.seconds", "reserve": "4", "heartbeat_seconds": 20}


async def test_a_worker_begins_a_lease_sends_heartbeats_and_closes_it(
    gateway: Gateway, credits: CreditsStandIn
) -> None:
    user = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key("holds:write")}
    begun = await gateway.http.post("/v1/leases", json=ORDER, headers=headers | {"Idempotency-Key": "1"})
    assert (begun.status_code, begun.json()["metered"], begun.json()["short"]) == (201, "7", "0")
    lease = begun.json()["id"]
    for key, verb in (("2", "heartbeat"), ("3", "close")):
        path, told = f"/v1/leases/{lease}/{verb}", headers | {"Idempotency-Key": key}
        assert (await gateway.http.post(path, json={"quantity": "12.5"}, headers=told)).status_code == 201
    assert [(asked.path, asked.account, asked.key) for asked in credits.spending.asked] == [
        ("/leases", user.account, "1"),
        (f"/leases/{lease}/heartbeat", user.account, "2"),
        (f"/leases/{lease}/close", user.account, "3"),
    ]
    assert credits.spending.asked[0].body["heartbeat_seconds"] == 20
    assert credits.spending.asked[1].body == {"quantity": "12.5"}


async def test_only_a_key_that_may_hold_has_leases(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    reader = {"X-Api-Key": await user.make_key("credits:read"), "Idempotency-Key": "1"}
    assert problem(await gateway.http.post("/v1/leases", json=ORDER, headers=reader)) == (403, "PAY012")
    assert problem(await user.post("/v1/leases", ORDER)) == (403, "PAY012")
    worker = {"X-Api-Key": await user.make_key("holds:write"), "Idempotency-Key": "1"}
    other = ORDER | {"account": show("account", new_id())}
    assert problem(await gateway.http.post("/v1/leases", json=other, headers=worker)) == (403, "PAY012")
    assert credits.spending.asked == []


@pytest.mark.parametrize(
    "body", [{}, {"meter": "agent"}, ORDER | {"reserve": 4}, ORDER | {"heartbeat_seconds": 0}, ORDER | {"x": 1}]
)
async def test_an_order_that_cannot_be_read_is_a_clear_problem(gateway: Gateway, body: dict[str, object]) -> None:
    user = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key("holds:write"), "Idempotency-Key": "1"}
    assert problem(await gateway.http.post("/v1/leases", json=body, headers=headers)) == (422, "PAY007")
