"""Usage events over HTTP: all are taken or none, and 202 says that the broker has them."""

import json
from typing import Any
from uuid import uuid4

from deploy.embedded.infrastructure import Infrastructure
from libs.contracts import ids
from libs.contracts.topics import USAGE_EVENTS
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway, User, published

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def account_of(user: User) -> str:
    return ids.show("account", user.account)


def used(user: User, quantity: Any = 3, **more: Any) -> dict[str, Any]:
    """Say that a user's account used something."""
    event = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/renderer",
        "type": "video.generation",
        "subject": account_of(user),
        "time": "2026-11-21T12:00:00Z",
        "data": {"quantity": quantity, "properties": {"resolution": "720p"}},
    }
    return event | more


async def report(
    gateway: Gateway, key: str, body: Any, *, form: str = "application/json", path: str = "/v1/events"
) -> Any:
    """Report usage."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await gateway.http.post(path, content=content, headers={"X-Api-Key": key, "Content-Type": form})


async def test_single_events_and_batches_are_published_under_their_account(
    gateway: Gateway, infrastructure: Infrastructure
) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("usage:write")
    events = [used(user, quantity) for quantity in (1, 2.5, "0.000001", 4, 5)]
    for body, form, count in (
        (events[0], SINGLE, 1),
        (events[1], "application/json; charset=utf-8", 1),
        (events[2:4], BATCH, 2),
        ([events[4]], "application/json", 1),
        ([], BATCH, 0),
    ):
        answer = await report(gateway, key, body, form=form)
        assert (answer.status_code, answer.json()) == (202, {"accepted": count})
    found = await published(infrastructure.kafka, USAGE_EVENTS, key=account_of(user), count=5)
    assert [event.id for event in found] == [event["id"] for event in events]
    assert [event.data for event in found] == [event["data"] for event in events]
    assert all(event.traceparent for event in found)


async def test_openmeters_path_takes_the_same_events(gateway: Gateway, infrastructure: Infrastructure) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("usage:write")
    event = used(user, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    answer = await report(gateway, key, event, form=SINGLE, path="/api/v1/events")
    assert answer.status_code == 202
    (found,) = await published(infrastructure.kafka, USAGE_EVENTS, key=account_of(user), count=1)
    assert found.traceparent == event["traceparent"]


def unusable(user: User, other: User) -> list[Any]:
    """Make what cannot be taken of a user's key."""
    return [
        used(user, specversion="0.3"),
        used(user, id=""),
        used(user, id="a\u0000b"),
        used(user, source=None),
        used(user, type="x" * 256),
        used(user, subject="somebody"),
        used(user, subject=None),
        used(other),
        used(user, actor="ada"),
        used(user, actor="user:somebody-else"),
        used(user, time="yesterday"),
        used(user, time="2026-11-21T12:00:00"),
        used(user, data={"quantity": -1}),
        used(user, data={"quantity": "many"}),
        used(user, data={"quantity": 0.0000001}),
        used(user, data={"quantity": 10**13}),
        used(user, data={"quantity": 1, "price": 0}),
        used(user, data={"properties": {"Resolution": "720p"}}),
        used(user, data={"properties": {"resolution": None}}),
        used(user, data={"properties": {"resolution": "x" * 501}}),
        used(user, data={"properties": {f"p{number}": 1 for number in range(51)}}),
        used(user, data={"quantity": 1, "cost": {"amount_micros": 1, "currency": "usd"}}),
        used(user, data=[]),
        "an event",
        None,
    ]


async def test_one_bad_event_keeps_the_whole_batch_out_and_is_named(
    gateway: Gateway, infrastructure: Infrastructure
) -> None:
    user, other = await gateway.sign_up(), await gateway.sign_up()
    key = await user.make_key("usage:write")
    bad = unusable(user, other)
    good = [used(user), *bad, used(user)]
    answer = await report(gateway, key, good, form=BATCH)
    assert (answer.status_code, answer.json()["code"]) == (422, "PAY029")
    assert [error["index"] for error in answer.json()["errors"]] == list(range(1, len(bad) + 1))
    assert all(error["what"] for error in answer.json()["errors"])

    marker = used(user)
    assert (await report(gateway, key, marker)).status_code == 202
    (found,) = await published(infrastructure.kafka, USAGE_EVENTS, key=account_of(user), count=1)
    assert found.id == marker["id"], "none of the batch was published"


async def test_only_an_admins_key_reports_for_other_accounts(gateway: Gateway, infrastructure: Infrastructure) -> None:
    operator, customer = await gateway.sign_up(), await gateway.sign_up()
    event = used(customer)
    refused = await report(gateway, await operator.make_key("usage:write"), event)
    assert refused.status_code == 422
    assert "its own account" in refused.json()["errors"][0]["what"]
    key = await gateway.operators_key(operator.account, "admin")
    assert (await report(gateway, key, event)).status_code == 202
    (found,) = await published(infrastructure.kafka, USAGE_EVENTS, key=account_of(customer), count=1)
    assert found.id == event["id"]


async def test_usage_is_the_keys_own_unless_an_admins_key_says_whose(
    gateway: Gateway, infrastructure: Infrastructure
) -> None:
    user = await gateway.sign_up()
    admins = await gateway.operators_key(user.account, "admin")
    for key, event in (
        (await user.make_key("usage:write"), used(user)),
        (admins, used(user)),
        (admins, used(user, actor="user:ada", data={"cost": {"amount_micros": 300, "currency": "usd"}})),
    ):
        assert (await report(gateway, key, event)).status_code == 202
    found = await published(infrastructure.kafka, USAGE_EVENTS, key=account_of(user), count=3)
    own, of_admin, named = (str(event.actor) for event in found)
    assert own.startswith("key:key_")
    assert of_admin.startswith("key:key_")
    assert own != of_admin
    assert found[2].data["cost"] == {"amount_micros": 300, "currency": "usd"}
    assert named == "user:ada"


async def test_bodies_that_are_no_events_are_refused(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("usage:write")
    event = used(user)
    for body, form in (
        (event, "text/plain"),
        (event, BATCH),
        ([event], SINGLE),
        (b"", SINGLE),
        (b"{", SINGLE),
        (b"[" * 100_000, BATCH),
        (b'{"id": NaN}', SINGLE),
        (b'"\\ud800"', SINGLE),
        (b"\xff", SINGLE),
        (7, "application/json"),
    ):
        answer = await report(gateway, key, body, form=form)
        assert (answer.status_code, answer.json()["code"]) == (422, "PAY007"), body


async def test_batches_and_bodies_are_bounded(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("usage:write")
    small = used(user, data={})
    assert (await report(gateway, key, [small] * 1000, form=BATCH)).json() == {"accepted": 1000}
    too_many = await report(gateway, key, [small] * 1001, form=BATCH)
    assert (too_many.status_code, too_many.json()["code"]) == (413, "PAY025")
    too_large = await report(gateway, key, [used(user, padding="x" * 1100)] * 1000, form=BATCH)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "PAY025")


async def test_reporting_needs_a_key_with_the_scope(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    without = await report(gateway, await user.make_key("credits:read"), used(user))
    assert (without.status_code, without.json()["code"]) == (403, "PAY012")
    assert (await user.post("/v1/events", used(user))).status_code == 403
    assert (await gateway.http.post("/v1/events", json=used(user))).status_code == 401


async def test_without_the_broker_nothing_is_accepted(run_gateway: RunGateway) -> None:
    async with run_gateway(kafka=NOWHERE) as gateway:
        user = await gateway.sign_up()
        answer = await report(gateway, await user.make_key("usage:write"), used(user))
        assert (answer.status_code, answer.json()["code"]) == (503, "PAY014")
        assert answer.headers["retry-after"] == "1"
